package keys

import (
	"bytes"
	"crypto/ed25519"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/mod/sumdb/note"
)

// text is 64 hex digits, of 32 times the same byte.
func text(b byte) string { return strings.Repeat(fmt.Sprintf("%02x", b), length) }

// ring has two keys of each kind. The older receipt key is retired.
func ring(t testing.TB) Ring {
	t.Helper()
	retired, err := parseSeed(label{}, text(0xa4))
	if err != nil {
		t.Fatal(err)
	}
	r, err := Parse([]string{text(0xa1), text(0xa2)}, []string{retired.Line(), text(0xa3)}, []string{text(0xa5), text(0xa6)})
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// As text, in a log and as JSON a key is its name, however it is wrapped.
func TestShowsNoSecret(t *testing.T) {
	r := ring(t)
	type open struct {
		Secret Secret
		Signer Signer
		Ring   Ring
	}
	type closed struct {
		secret Secret
		signer Signer
		ring   Ring
		note   note.Signer
	}
	values := map[string]any{
		"secret": r.Cookie[0], "its address": &r.Cookie[0], "secrets": r.Cookie, "signer": r.Receipt[0], "signer's address": &r.Receipt[0],
		"signers": r.Log, "ring": r, "ring's address": &r, "list": r.List(), "map": map[string]any{"secret": r.Cookie[0], "signer": r.Log[0]},
		"a struct": open{r.Cookie[0], r.Receipt[0], r}, "a closed struct": closed{r.Cookie[0], r.Receipt[0], r, r.Log[0].NoteSigner()},
		"its pointer": &closed{r.Cookie[0], r.Receipt[0], r, r.Log[0].NoteSigner()}, "note signer": r.Receipt[0].NoteSigner(), "error": fmt.Errorf("with %v", r.Cookie[0]),
	}
	for name, v := range values {
		shown := map[string]string{"Sprint": fmt.Sprint(v)}
		for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "%d", "%o", "%b", "%c", "% x", "%t"} {
			shown[verb] = fmt.Sprintf(verb, v)
		}
		if b, err := json.Marshal(v); err == nil {
			shown["JSON"] = string(b)
		}
		for handler, make := range map[string]func(*bytes.Buffer) slog.Handler{
			"slog text": func(b *bytes.Buffer) slog.Handler { return slog.NewTextHandler(b, nil) },
			"slog JSON": func(b *bytes.Buffer) slog.Handler { return slog.NewJSONHandler(b, nil) },
		} {
			var b bytes.Buffer
			slog.New(make(&b)).Info("keys", "value", v, slog.Group("in", "value", v))
			shown[handler] = b.String()
		}
		for how, got := range shown {
			for _, b := range []byte{0xa1, 0xa2, 0xa3, 0xa5, 0xa6} {
				for _, form := range []string{
					text(b)[:8], strings.ToUpper(text(b)[:8]), strings.TrimSuffix(strings.Repeat(fmt.Sprintf("%d ", b), 4), " "),
					strings.Repeat(fmt.Sprintf("%o ", b), 4), strings.Repeat(fmt.Sprintf("%b ", b), 4), fmt.Sprintf("0x%x, 0x%x", b, b), fmt.Sprintf("%d,%d", b, b), fmt.Sprintf("%x %x", b, b),
					base64.StdEncoding.EncodeToString(bytes.Repeat([]byte{b}, length))[:8], string(bytes.Repeat([]byte{b}, 4)), strings.Repeat(string(rune(b)), 4),
				} {
					if before, _, found := strings.Cut(got, form); found {
						t.Errorf("%s by %s shows a secret after %.300q", name, how, before)
					}
				}
			}
		}
	}
	for how, got := range map[string]string{
		"%v": fmt.Sprintf("%v", r.Cookie[0]), "%#v": fmt.Sprintf("%#v", r.Cookie[:1]), "JSON": marshal(t, r.Cookie[0]), "a ring": fmt.Sprintf("%+v", r), "a ring as JSON": marshal(t, r),
	} {
		if !strings.Contains(got, "key 1 of STILE_KEYS") {
			t.Errorf("%s does not show the name: %s", how, got)
		}
	}
}

func marshal(t *testing.T, v any) string {
	t.Helper()
	b, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func TestParse(t *testing.T) {
	r := ring(t)
	if got := r.Cookie[0].Bytes(); !bytes.Equal(got, bytes.Repeat([]byte{0xa1}, length)) {
		t.Errorf("the first secret is %x", got)
	}
	r.Cookie[0].Bytes()[0] = 0
	if r.Cookie[0].Bytes()[0] == 0 {
		t.Error("who gets a secret can change it")
	}
	want := []Info{
		{Name: "key 1 of STILE_KEYS", Kind: Cookie, State: Signs},
		{Name: "key 2 of STILE_KEYS", Kind: Cookie, State: Verifies},
		{Name: "key 2 of STILE_RECEIPT_KEYS", Kind: Receipt, State: Signs, Public: r.Receipt[0].Line()},
		{Name: "key 1 of STILE_RECEIPT_KEYS", Kind: Receipt, State: Retired, Public: r.Receipt[1].Line()},
		{Name: "key 1 of STILE_LOG_KEYS", Kind: Log, State: Signs, Public: r.Log[0].Line()},
		{Name: "key 2 of STILE_LOG_KEYS", Kind: Log, State: Verifies, Public: r.Log[1].Line()},
	}
	if d := cmp.Diff(want, r.List()); d != "" {
		t.Error(d)
	}
	if none, err := Parse(nil, nil, nil); err != nil || none.List() != nil {
		t.Errorf("nothing given is %v, %v", none, err)
	}
}

func TestParseRefuses(t *testing.T) {
	line := ring(t).Log[0].Line()
	_, foreign, err := note.GenerateKey(nil, "sum.example")
	if err != nil {
		t.Fatal(err)
	}
	forged := line[:6] + "00000000" + line[14:]
	one := func(text string) []string { return []string{text} }
	for name, tt := range map[string]struct {
		cookie, receipt, log []string
		says                 string
	}{
		"short":             {cookie: one("beefbeef"), says: "key 1 of STILE_KEYS cannot be read: a key is 64 hex digits"},
		"not hex":           {cookie: []string{text(1), strings.Repeat("xy", 32)}, says: "key 2 of STILE_KEYS cannot be read: a key is 64 hex digits"},
		"empty":             {receipt: one(""), says: "key 1 of STILE_RECEIPT_KEYS cannot be read: a key is 64 hex digits"},
		"public for cookie": {cookie: one(line), says: "key 1 of STILE_KEYS cannot be read: a key is 64 hex digits"},
		"long":              {log: one(text(7) + "07"), says: "key 1 of STILE_LOG_KEYS cannot be read: a key is 64 hex digits"},
		"somebody else's":   {log: []string{text(1), foreign}, says: `it is the public key of somebody else: Stile's begin with "stile+"`},
		"a wrong hash":      {log: []string{text(1), forged}, says: "key 2 of STILE_LOG_KEYS cannot be read: a public key is a line like"},
		"a private note":    {log: one("PRIVATE+KEY+stile+00000000+" + line[15:]), says: "a public key is a line like"},
		"retired alone":     {log: one(line), says: "STILE_LOG_KEYS has only retired keys: put one to sign with before them"},
		"twice":             {log: []string{text(1), text(1)}, says: "key 1 of STILE_LOG_KEYS and key 2 of STILE_LOG_KEYS are the same key"},
		"twice, retired":    {log: []string{text(0xa5), line}, says: "are the same key"},
		"of two kinds":      {receipt: one(text(1)), log: one(text(1)), says: "key 1 of STILE_RECEIPT_KEYS and key 1 of STILE_LOG_KEYS are the same key"},
		"of cookie and log": {cookie: one(text(1)), log: one(text(1)), says: "key 1 of STILE_KEYS and key 1 of STILE_LOG_KEYS are the same key"},
	} {
		_, err := Parse(tt.cookie, tt.receipt, tt.log)
		if err == nil || !strings.Contains(err.Error(), tt.says) || strings.Contains(err.Error(), "\n") {
			t.Errorf("%s: %v", name, err)
			continue
		}
		for _, given := range [][]string{tt.cookie, tt.receipt, tt.log} {
			for _, text := range given {
				if text != "" && strings.Contains(err.Error(), text) {
					t.Errorf("%s: the error shows what was given: %v", name, err)
				}
			}
		}
	}
	if _, err := Parse([]string{text(1), text(1)}, nil, nil); err != nil {
		t.Errorf("a cookie secret that is given twice harms nobody: %v", err)
	}
	if r, err := Parse(one(" "+strings.ToUpper(text(0xa1))+"\n"), nil, nil); err != nil || !bytes.Equal(r.Cookie[0].Bytes(), ring(t).Cookie[0].Bytes()) {
		t.Errorf("capital digits and white space: %v", err)
	}
}

func TestSigner(t *testing.T) {
	r := ring(t)
	message := []byte("stile test\nwords")
	for _, s := range append(r.Log, r.Receipt[0]) {
		if sig := s.Sign(message); !ed25519.Verify(s.Public(), message, sig) || ed25519.Verify(s.Public(), message[1:], sig) {
			t.Errorf("%v does not sign", s)
		}
		v, err := note.NewVerifier(s.Line())
		if err != nil || v.Name() != Owner || fmt.Sprintf("%08x", v.KeyHash()) != s.ID() || !strings.HasPrefix(s.Line(), "stile+"+s.ID()+"+") {
			t.Errorf("%v has the line %s and the id %s: %v", s, s.Line(), s.ID(), err)
		}
		signed, err := note.Sign(&note.Note{Text: "words\n"}, s.NoteSigner())
		if err != nil {
			t.Fatal(err)
		}
		n, err := note.Open(signed, r.Verifiers(s.Kind()))
		if err != nil || len(n.Sigs) != 1 || n.Text != "words\n" {
			t.Errorf("%v: its note does not verify: %v", s, err)
		}
		other := Receipt
		if s.Kind() == Receipt {
			other = Log
		}
		if _, err := note.Open(signed, r.Verifiers(other)); err == nil {
			t.Errorf("a note of kind %s verifies by keys of kind %s", s.Kind(), other)
		}
	}
}

func TestRetiredSignsNothing(t *testing.T) {
	retired := ring(t).Receipt[1]
	if !retired.Retired() || retired.Sign([]byte("words")) != nil {
		t.Error("a retired key signs")
	}
	if _, err := note.Sign(&note.Note{Text: "words\n"}, retired.NoteSigner()); err == nil || !strings.Contains(err.Error(), "is retired") {
		t.Errorf("a retired key signs a note: %v", err)
	}
	// What it signed before verifies.
	before, err := parseSeed(label{}, text(0xa4))
	if err != nil {
		t.Fatal(err)
	}
	signed, err := note.Sign(&note.Note{Text: "words\n"}, before.NoteSigner())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := note.Open(signed, ring(t).Verifiers(Receipt)); err != nil {
		t.Errorf("what a retired key signed does not verify: %v", err)
	}
}

// What is published is what an auditor reads with nothing but x/mod, and has no secret.
func TestPublish(t *testing.T) {
	r := ring(t)
	r.Log[0].made = time.Date(2026, 11, 23, 12, 0, 0, 5, time.UTC)
	text := r.Publish()
	for _, want := range []string{
		"# receipt signs\n" + r.Receipt[0].Line() + "\n", "# receipt retired\n" + r.Receipt[1].Line() + "\n",
		"# log 2026-11-23T12:00:00Z signs\n" + r.Log[0].Line() + "\n", "# log verifies\n" + r.Log[1].Line() + "\n",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("%q is not in\n%s", want, text)
		}
	}
	for line := range strings.Lines(text) {
		if line = strings.TrimSpace(line); strings.HasPrefix(line, "#") {
			continue
		}
		if v, err := note.NewVerifier(line); err != nil || v.Name() != Owner {
			t.Errorf("%q: %v", line, err)
		}
	}
	for _, secret := range []byte{0xa1, 0xa2, 0xa3, 0xa4, 0xa5, 0xa6} {
		if strings.Contains(text, hex.EncodeToString(bytes.Repeat([]byte{secret}, 4))) {
			t.Errorf("a secret is published:\n%s", text)
		}
	}
}

func FuzzParse(f *testing.F) {
	r := ring(f)
	for _, seed := range []string{text(1), r.Log[0].Line(), "stile+00000000+" + r.Log[0].Line()[15:], "", "+", "++", "stile+1a2b3c4d+AQ=="} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		got, err := Parse([]string{text}, nil, nil)
		if err == nil && !strings.EqualFold(hex.EncodeToString(got.Cookie[0].Bytes()), strings.TrimSpace(text)) {
			t.Errorf("%q is taken for %x", text, got.Cookie[0].Bytes())
		}
		got, err = Parse(nil, nil, []string{strings.Repeat("5a", length), text})
		switch {
		case err == nil && len(got.Log) != 2:
			t.Errorf("%q is taken for %d keys", text, len(got.Log)-1)
		case err == nil && got.Log[1].Retired() && got.Log[1].Line() != strings.TrimSpace(text):
			t.Errorf("%q is taken for %q", text, got.Log[1].Line())
		case err == nil && !got.Log[1].Retired() && len(got.Log[1].Sign([]byte("words"))) != ed25519.SignatureSize:
			t.Errorf("%q signs nothing", text)
		case err != nil && strings.Contains(err.Error(), "\n"):
			t.Errorf("%q: the error has lines: %v", text, err)
		}
	})
}
