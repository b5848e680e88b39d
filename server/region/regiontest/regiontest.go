// Package regiontest makes region databases for tests.
package regiontest

import (
	"maps"
	"net"
	"net/netip"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/maxmind/mmdbwriter"
	"github.com/maxmind/mmdbwriter/mmdbtype"
)

// Write makes a database at path of networks ("203.0.113.0/24") and their regions ("US-CA"), in the layout of a City
// database. Private and reserved networks can be among them. Of two that overlap the narrower counts.
func Write(t testing.TB, path string, networks map[string]string) {
	t.Helper()
	records := map[string]mmdbtype.Map{}
	for network, region := range networks {
		country, subdivision, divided := strings.Cut(region, "-")
		record := mmdbtype.Map{"country": mmdbtype.Map{"iso_code": mmdbtype.String(country)}}
		if divided {
			record["subdivisions"] = mmdbtype.Slice{mmdbtype.Map{"iso_code": mmdbtype.String(subdivision)}}
		}
		records[network] = record
	}
	WriteRecords(t, path, records)
}

// WriteRecords is Write for records that are not what they should be.
func WriteRecords(t testing.TB, path string, records map[string]mmdbtype.Map) {
	t.Helper()
	tree, err := mmdbwriter.New(mmdbwriter.Options{DatabaseType: "Stile-Test", IncludeReservedNetworks: true})
	if err != nil {
		t.Fatal(err)
	}
	// The widest come first, since a later one replaces what it covers.
	length := func(network string) int { return netip.MustParsePrefix(network).Bits() }
	byLength := func(a, b string) int { return length(a) - length(b) }
	for _, text := range slices.SortedFunc(maps.Keys(records), byLength) {
		_, network, err := net.ParseCIDR(text)
		if err != nil {
			t.Fatal(err)
		}
		if err := tree.Insert(network, records[text]); err != nil {
			t.Fatalf("%s: %v", text, err)
		}
	}
	file, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := tree.WriteTo(file); err != nil {
		t.Fatal(err)
	}
	if err := file.Close(); err != nil {
		t.Fatal(err)
	}
}
