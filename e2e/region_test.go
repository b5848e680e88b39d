package e2e

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stilehq/stile/server/region/regiontest"
)

// regionFile makes an operator's database.
func regionFile(t *testing.T) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "regions.mmdb")
	regiontest.Write(t, path, map[string]string{
		"81.2.69.0/24": "GB", "198.51.100.0/24": "US-CA", "203.0.113.0/24": "DE", "2001:db8:1::/48": "US-CO", "127.0.0.0/8": "US-CA",
	})
	return path
}

// comesFrom lets the proxy say whom it was asked by.
func (w *world) comesFrom(address string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.address = address
}

// F2, F10, F13: the operator's database tells the region by the address that a trusted proxy names; a trusted header goes
// before it, and an address that it does not know is under the strictest regime.
func TestRegionFromFile(t *testing.T) {
	path := regionFile(t)
	w := newWorld(t, settings{config: sharedCookie, args: append([]string{"--region-file", path, "--trusted-proxies", "127.0.0.0/8"}, regions...)})
	b := w.open()
	uk := map[string]int{"counter": 2}
	for _, tt := range []struct {
		address, header string
		want            map[string]int
	}{
		{"81.2.69.142", "", uk},
		{"198.51.100.77", "", all},
		{"2001:db8:1::5", "", all},
		{"203.0.113.9", "", nothing},
		{"198.51.100.77, 203.0.113.9", "", nothing}, // the visitor invented what stands further left
		{"203.0.113.9, 198.51.100.77, 127.0.0.1", "", all},
		{"8.8.8.8", "", nothing},
		{"198.51.100.77, who", "", nothing},
		{"127.0.0.1", "", nothing}, // nobody but proxies
		{"", "", nothing},
		{"198.51.100.77", "DE", nothing}, // the header wins
		{"203.0.113.9", "US-CA", all},
		{"198.51.100.77", "XX", all}, // it does not know
	} {
		w.comesFrom(tt.address)
		w.moves(tt.header)
		b.forget().emptyCache()
		b.views(shopURL+"/", tt.want)
		if t.Failed() {
			t.Fatalf("from %q, header %q", tt.address, tt.header)
		}
	}

	// C5: the address is used and not kept. What is kept is the country.
	w.comesFrom("198.51.100.77")
	w.moves("")
	b.forget().emptyCache().visit(shopURL + "/")
	b.loads(func() { b.click(reject) }).settle()
	if r := b.ownRecords()[0]; r.Regime != "us" || r.Country != "US" {
		t.Errorf("the record is of regime %q and country %q", r.Regime, r.Country)
	}
	w.stop()
	w.forgot("198.51.100.77", "203.0.113.9", "2001:db8:1::5")
}

// forgot checks that addresses are in no file of the data folder, and not in the log.
func (w *world) forgot(addresses ...string) {
	w.t.Helper()
	files := 0
	err := filepath.WalkDir(w.folder, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		files++
		content, err := os.ReadFile(path)
		for _, address := range addresses {
			if bytes.Contains(content, []byte(address)) || bytes.Contains(content, netip.MustParseAddr(address).AsSlice()) {
				w.t.Errorf("C5: %s holds the address %s", path, address)
			}
		}
		return err
	})
	if err != nil || files < 3 {
		w.t.Errorf("looked into %d files: %v", files, err)
	}
	for _, address := range addresses {
		if w.said(address) > 0 {
			w.t.Errorf("C5: the log holds the address %s", address)
		}
	}
}

// Who is no trusted proxy is not believed about the visitor's address.
func TestRegionForged(t *testing.T) {
	w := newWorld(t, settings{config: sharedCookie, args: []string{"--region-file", regionFile(t), "--trusted-proxies", "10.0.0.0/8"}})
	w.comesFrom("198.51.100.77")
	b := w.open().visit(shopURL + "/")
	b.asks("a forged address")
	w.comesFrom("81.2.69.142, 10.0.0.1")
	b.emptyCache().visit(shopURL + "/").asks("a forged chain")
}

// Bad input: without the database that was named nothing is served, and a line says what to do.
func TestRegionFileBad(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	config := filepath.Join(dir, "stile.yaml")
	broken := filepath.Join(dir, "broken.mmdb")
	for path, text := range map[string]string{config: minimalSite, broken: "network,country\n"} {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	missing := filepath.Join(dir, "missing.mmdb")
	for _, tt := range []struct {
		name string
		args []string
		want []string
	}{
		{"missing", []string{"--region-file", missing}, []string{"--region-file", missing, "cannot be read", "; "}},
		{"broken", []string{"--region-file", broken}, []string{"--region-file", broken, "is not a whole MaxMind DB file", "; "}},
		{"everybody is a proxy", []string{"--trusted-proxies", "0.0.0.0/0"}, []string{"--trusted-proxies", "everybody"}},
	} {
		args := append([]string{"serve", config, "--listen", "127.0.0.1:0", "--data", filepath.Join(dir, "data")}, tt.args...)
		out, err := exec.CommandContext(t.Context(), stileBinary, args...).CombinedOutput()
		var exit *exec.ExitError
		if !errors.As(err, &exit) || exit.ExitCode() != 3 {
			t.Errorf("%s: stile serve ended with %v, want exit code 3", tt.name, err)
		}
		for _, part := range tt.want {
			if !strings.Contains(string(out), part) {
				t.Errorf("%s: it does not say %q:\n%s", tt.name, part, out)
			}
		}
		if strings.Contains(string(out), "msg=serving") || strings.Count(string(out), "stile: ") != 1 {
			t.Errorf("%s: it serves, or does not say in one line what is wrong:\n%s", tt.name, out)
		}
	}
}

const minimalSite = `site: shop
origins: ["https://www.shop.example"]
controller: {name: EasyDser, contact: privacy@shop.example}
policy: {version: 2026-11-01}
languages: [en]
categories:
  necessary: {required: true}
`

// record is one of the visitor's own records, as they get it.
type record struct {
	ID       string   `json:"id"`
	Action   string   `json:"action"`
	Granted  []string `json:"granted"`
	Denied   []string `json:"denied"`
	Services []string `json:"services"`
	Refused  []string `json:"refused"`
	Regime   string   `json:"regime"`
	Country  string   `json:"country"`
	Policy   string   `json:"policy"`
	Surface  string   `json:"surface"`
	GPC      bool     `json:"gpc"`
	Age      string   `json:"age"`
}

func (r record) String() string {
	return fmt.Sprintf("%s on %s, granted %q %q, denied %q %q, age %q, GPC %v", r.Action, r.Surface, r.Granted, r.Services, r.Denied, r.Refused, r.Age, r.GPC)
}

// ownRecords are the visitor's records, newest first, as a page of the site can show them.
func (b *tab) ownRecords() []record {
	b.t.Helper()
	list := eval[[]record](b, `fetch('`+consentURL+`/stile/shop/receipt?lang=en', {credentials: 'include', headers: {accept: 'application/json'}})
		.then(r => r.json()).then(r => (r.records || []).map(r => JSON.parse(r['stile:log']['stile:leaf'])).reverse())`)
	if len(list) == 0 {
		b.t.Fatal("the visitor has no records")
	}
	return list
}
