package receipt

import (
	"encoding/json"
	"strings"
	"testing"
	"unicode"

	"pgregory.net/rapid"
)

// Any text is read back as it was, and stays on its line.
func TestText(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		want := rapid.String().Draw(t, "text")
		var w writer
		w.text(want)
		var got string
		if err := json.Unmarshal(w.out.Bytes(), &got); err != nil || got != want {
			t.Fatalf("%s is read as %q, want %q: %v", w.out.String(), got, want, err)
		}
		if strings.ContainsFunc(w.out.String(), func(r rune) bool { return r < 0x20 || r == unicode.MaxASCII }) {
			t.Fatalf("%q has control characters", w.out.String())
		}
	})
	for text, want := range map[string]string{
		"a\"b\\c": `"a\"b\\c"`, "\n\t\b\x00\x7f": `"\n\u0009\u0008\u0000\u007f"`, "<&>\u2028é": "\"<&>\u2028é\"", "\xff": "\"\ufffd\"", "": `""`,
	} {
		var w writer
		w.text(text)
		if w.out.String() != want {
			t.Errorf("%q is written %s, want %s", text, w.out.String(), want)
		}
	}
}
