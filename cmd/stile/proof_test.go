package main

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// TestReadmeProof does what the README says an auditor does, for a visitor who chose and downloaded the receipt.
func TestReadmeProof(t *testing.T) {
	readme, err := os.ReadFile(filepath.Join("..", "..", "README.md"))
	if err != nil {
		t.Fatal(err)
	}
	block := regexp.MustCompile("(?s)```bash\n(.*?)```").FindSubmatch(readme)
	if block == nil {
		t.Fatal("the README does not say how a consent is proved")
	}
	s := serve(t)
	s.accept()
	receipt := s.get("/stile/shop/receipt")
	if err := os.WriteFile("receipt.json", []byte(receipt), 0o600); err != nil {
		t.Fatal(err)
	}
	id := regexp.MustCompile(`"dct:identifier": "([0-9a-f-]{36})"`).FindStringSubmatch(receipt)
	if id == nil {
		t.Fatalf("the receipt has no id: %s", receipt)
	}
	for line := range strings.Lines(string(block[1])) {
		line, _, _ = strings.Cut(strings.TrimSpace(line), "  #")
		words := strings.Fields(strings.ReplaceAll(line, "$RECEIPT", id[1]))
		switch words[0] {
		case "curl": // -s ADDRESS > FILE
			_, path, _ := strings.Cut(words[2], "consent.shop.example")
			if err := os.WriteFile(words[4], []byte(s.get(path)), 0o600); err != nil {
				t.Fatal(err)
			}
		case "stile":
			s.stile(exitFine, words[1:]...)
		default:
			t.Errorf("the README has the command %s", line)
		}
	}
	said := s.said.String()
	for _, want := range []string{"Genuine.", "RECORD " + id[1] + ": in force", "Every record is as it was stored, and none is missing.", "operator", "show"} {
		if !strings.Contains(said, want) {
			t.Errorf("the commands do not say %q:\n%s", want, said)
		}
	}

	// And what an auditor is for: an altered receipt, and a ledger that somebody wrote to.
	if err := os.WriteFile("receipt.json", []byte(strings.Replace(receipt, "analytics", "marketing", 1)), 0o600); err != nil {
		t.Fatal(err)
	}
	s.stile(exitFound, "records", "verify", "receipt.json", "--keys", "keys.txt")
}
