package main

import (
	"strings"
	"testing"
)

func TestParseNetworks(t *testing.T) {
	got, err := parseNetworks([]string{"10.1.0.0/16", "fd00:1::/48", "127.0.0.1"})
	if err != nil || len(got) != 3 || got[2].String() != "127.0.0.1/32" {
		t.Errorf("%v, %v", got, err)
	}
	for text, want := range map[string]string{
		"10.1.0.0/33": "neither an address nor a network", "vendors": "neither an address", "": "neither an address", "0.0.0.0/0": "every address", "::/0": "every address",
		"10.1.2.3/16": "write 10.1.2.3 or 10.1.0.0/16", "::ffff:10.0.0.0/104": "write the IPv4 address alone", "fe80::1%eth0": "neither an address",
	} {
		if got, err := parseNetworks([]string{"10.0.0.0/8", text}); err == nil || got != nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, %v; want %q", text, got, err, want)
		}
	}
}
