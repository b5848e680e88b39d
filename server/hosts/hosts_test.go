package hosts

import (
	"strings"
	"testing"
)

func TestValid(t *testing.T) {
	for host, want := range map[string]bool{
		"a.example": true, "localhost": true, "a_b.example": true, "xn--bcher-kva.example": true, "192.0.2.7": true, "192.0.2.7:8080": true,
		"[2001:db8::1]": true, "[2001:db8::1]:8443": true, "a.example.": true, "a.example:8443": true,
		"A.example": false, "bücher.example": false, "a..example": false, ".example": false, "a b.example": false, "a.example:": false,
		"a.example:080": false, "a.example:99999": false, "a.example:x": false, "[2001:DB8::1]": false, "[::1": false, "[fe80::1%25eth0]": false,
		"192.0.2": false, "256.0.0.1": false, "a/b": false, "a?b": false, "a#b": false, "a@b": false, "a\x00b": false, "": false,
		strings.Repeat("a", 64) + ".example": false, strings.Repeat("a.", 130) + "example": false,
	} {
		if Valid(host) != want {
			t.Errorf("%q: %v", host, !want)
		}
	}
}
