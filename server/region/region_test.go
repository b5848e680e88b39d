package region_test

import (
	"errors"
	"io/fs"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/maxmind/mmdbwriter/mmdbtype"

	"github.com/stilehq/stile/server/region"
	"github.com/stilehq/stile/server/region/regiontest"
)

func open(t testing.TB, records map[string]mmdbtype.Map) *region.Database {
	t.Helper()
	path := filepath.Join(t.TempDir(), "test.mmdb")
	regiontest.WriteRecords(t, path, records)
	return reopen(t, path)
}

func reopen(t testing.TB, path string) *region.Database {
	t.Helper()
	db, err := region.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	return db
}

func TestRegion(t *testing.T) {
	path := filepath.Join(t.TempDir(), "test.mmdb")
	regiontest.Write(t, path, map[string]string{
		"81.2.0.0/16":      "GB",
		"81.2.69.0/24":     "GB-ENG",
		"198.51.100.0/24":  "US-CA",
		"2a02:8100::/32":   "DE",
		"2a02:8100:1::/48": "DE-BE",
		"10.0.0.0/8":       "FR", // what the database must not be asked for
		"100.64.0.0/10":    "FR",
		"127.0.0.0/8":      "FR",
		"169.254.0.0/16":   "FR",
		"::1/128":          "FR",
		"fc00::/7":         "FR",
		"fe80::/10":        "FR",
	})
	db := reopen(t, path)
	for _, test := range []struct{ name, addr, want string }{
		{"country", "81.2.1.1", "GB"},
		{"the narrower network", "81.2.69.142", "GB-ENG"},
		{"subdivision", "198.51.100.7", "US-CA"},
		{"mapped into IPv6", "::ffff:198.51.100.7", "US-CA"},
		{"IPv6", "2a02:8100::1", "DE"},
		{"IPv6 subdivision", "2a02:8100:1::1", "DE-BE"},
		{"with a zone", "2a02:8100::1%eth0", "DE"},
		{"not in the database", "8.8.8.8", ""},
		{"private", "10.1.2.3", ""},
		{"private, mapped", "::ffff:10.1.2.3", ""},
		{"loopback", "127.0.0.1", ""},
		{"loopback, mapped", "::ffff:127.0.0.1", ""},
		{"loopback of IPv6", "::1", ""},
		{"link-local", "169.254.1.1", ""},
		{"link-local of IPv6", "fe80::1%eth0", ""},
		{"unique local", "fd00::1", ""},
		{"unspecified", "0.0.0.0", ""},
		{"multicast", "ff02::1", ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			if got := db.Region(netip.MustParseAddr(test.addr)); got != test.want {
				t.Errorf("%s is in %q, want %q", test.addr, got, test.want)
			}
		})
	}
	if got := db.Region(netip.Addr{}); got != "" {
		t.Errorf("no address is in %q", got)
	}
}

// What a record holds that is not as it should be, at 198.51.100.7.
func TestRegionOfOddRecord(t *testing.T) {
	code := func(s string) mmdbtype.Map { return mmdbtype.Map{"iso_code": mmdbtype.String(s)} }
	for _, test := range []struct {
		name   string
		record mmdbtype.Map
		want   string
	}{
		{"registered elsewhere", mmdbtype.Map{"country": code("DE"), "registered_country": code("US")}, "DE"},
		{"only registered", mmdbtype.Map{"registered_country": code("US")}, ""},
		{"the first of two subdivisions", mmdbtype.Map{"country": code("GB"), "subdivisions": mmdbtype.Slice{code("ENG"), code("WBK")}}, "GB-ENG"},
		{"no subdivision", mmdbtype.Map{"country": code("US"), "subdivisions": mmdbtype.Slice{}}, "US"},
		{"a subdivision with a name alone", mmdbtype.Map{"country": code("US"), "subdivisions": mmdbtype.Slice{mmdbtype.Map{"names": code("x")}}}, "US"},
		{"a malformed subdivision", mmdbtype.Map{"country": code("US"), "subdivisions": mmdbtype.Slice{code("California")}}, "US"},
		{"a subdivision with its country", mmdbtype.Map{"country": code("US"), "subdivisions": mmdbtype.Slice{code("US-CA")}}, "US"},
		{"subdivisions of another type", mmdbtype.Map{"country": code("US"), "subdivisions": mmdbtype.String("CA")}, "US"},
		{"a subdivision without country", mmdbtype.Map{"subdivisions": mmdbtype.Slice{code("CA")}}, ""},
		{"a country of another type", mmdbtype.Map{"country": mmdbtype.String("US")}, ""},
		{"a code of another type", mmdbtype.Map{"country": mmdbtype.Map{"iso_code": mmdbtype.Uint32(49)}}, ""},
		{"a small country", mmdbtype.Map{"country": code("de")}, ""},
		{"a long country", mmdbtype.Map{"country": code("DEU")}, ""},
		{"an unknown country", mmdbtype.Map{"country": code("ZZ"), "subdivisions": mmdbtype.Slice{code("CA")}}, ""},
		{"nothing", mmdbtype.Map{}, ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			db := open(t, map[string]mmdbtype.Map{"81.2.69.0/24": {"country": code("GB")}, "198.51.100.0/24": test.record})
			if got := db.Region(netip.MustParseAddr("198.51.100.7")); got != test.want {
				t.Errorf("got %q, want %q", got, test.want)
			}
		})
	}
}

func TestOpenSaysWhatIsWrong(t *testing.T) {
	dir := t.TempDir()
	whole := filepath.Join(dir, "whole.mmdb")
	regiontest.Write(t, whole, map[string]string{"81.2.69.0/24": "GB"})
	bytes, err := os.ReadFile(whole)
	if err != nil {
		t.Fatal(err)
	}
	write := func(name string, content []byte) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, content, 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	carriers := filepath.Join(dir, "asn.mmdb")
	regiontest.WriteRecords(t, carriers, map[string]mmdbtype.Map{
		"81.2.69.0/24": {"autonomous_system_number": mmdbtype.Uint32(20712)},
	})
	nobody := filepath.Join(dir, "empty-tree.mmdb")
	regiontest.Write(t, nobody, nil)
	for _, test := range []struct{ name, path, want string }{
		{"missing", filepath.Join(dir, "missing.mmdb"), "cannot be read"},
		{"a folder", dir, "cannot be read"},
		{"empty", write("empty.mmdb", nil), "is not a whole MaxMind DB file"},
		{"text", write("text.mmdb", []byte("network,country\n81.2.69.0/24,GB\n")), "is not a whole MaxMind DB file"},
		{"its end is missing", write("cut.mmdb", bytes[:len(bytes)/2]), "is not a whole MaxMind DB file"},
		{"its beginning is missing", write("tail.mmdb", bytes[len(bytes)/2:]), "is not a whole MaxMind DB file"},
		{"carriers", carriers, `("Stile-Test") holds no country.iso_code`},
		{"no networks", nobody, "holds no country.iso_code"},
	} {
		t.Run(test.name, func(t *testing.T) {
			db, err := region.Open(test.path)
			if err == nil {
				t.Fatalf("opened: %v", db)
			}
			says := err.Error()
			if !strings.Contains(says, test.want) || !strings.Contains(says, test.path) || !strings.Contains(says, "; ") || strings.Contains(says, "\n") {
				t.Errorf("the error does not say %q of %s, and what to do, in a line:\n%s", test.want, test.path, says)
			}
		})
	}
	if _, err := region.Open(filepath.Join(dir, "missing.mmdb")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("%v is not fs.ErrNotExist", err)
	}
}

// A file may be overwritten in place, and a database closed, while visitors are served.
func TestServesWhileFileChangesAndDatabaseCloses(t *testing.T) {
	path := filepath.Join(t.TempDir(), "test.mmdb")
	regiontest.Write(t, path, map[string]string{"198.51.100.0/24": "US-CA"})
	db := reopen(t, path)
	addr := netip.MustParseAddr("198.51.100.7")
	if err := os.Truncate(path, 0); err != nil {
		t.Fatal(err)
	}
	var readers sync.WaitGroup
	for range 4 {
		readers.Go(func() {
			for range 1000 {
				if got := db.Region(addr); got != "US-CA" && got != "" {
					t.Errorf("got %q", got)
				}
			}
		})
	}
	if got := db.Region(addr); got != "US-CA" {
		t.Errorf("got %q", got)
	}
	for range 2 {
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	}
	readers.Wait()
	if got := db.Region(addr); got != "" {
		t.Errorf("a closed database says %q", got)
	}
}

func TestParse(t *testing.T) {
	for _, good := range []string{"DE", "US-CA", "GB-ENG", "FR-75", "AT-9"} {
		if got := region.Parse(good); got != good {
			t.Errorf("%q is taken for %q", good, got)
		}
	}
	for _, bad := range []string{
		"", "-", "D", "de", "DEU", "DE-", "-CA", "US-ca", "US-CALI", "US-CA-1", "US CA", "U\u00dc", "D\x00", "XX", "ZZ", "ZZ-1", "T1", "A1",
	} {
		if got := region.Parse(bad); got != "" {
			t.Errorf("%q is taken for %q", bad, got)
		}
	}
}

// BenchmarkRegion looks up records as large as a City database's.
func BenchmarkRegion(b *testing.B) {
	names := mmdbtype.Map{}
	for _, lang := range []mmdbtype.String{"de", "en", "es", "fr", "ja", "pt-BR", "ru", "zh-CN"} {
		names[lang] = "Name in " + lang
	}
	place := func(code mmdbtype.String) mmdbtype.Map {
		return mmdbtype.Map{"geoname_id": mmdbtype.Uint32(5332921), "iso_code": code, "names": names}
	}
	record := func(country, subdivision mmdbtype.String) mmdbtype.Map {
		m := mmdbtype.Map{
			"city":               mmdbtype.Map{"geoname_id": mmdbtype.Uint32(5375480), "names": names},
			"continent":          mmdbtype.Map{"code": mmdbtype.String("NA"), "geoname_id": mmdbtype.Uint32(6255149), "names": names},
			"country":            place(country),
			"location":           mmdbtype.Map{"latitude": mmdbtype.Float64(37.4), "longitude": mmdbtype.Float64(-122.1)},
			"postal":             mmdbtype.Map{"code": mmdbtype.String("94043")},
			"registered_country": place(country),
		}
		if subdivision != "" {
			m["subdivisions"] = mmdbtype.Slice{place(subdivision)}
		}
		return m
	}
	db := open(b, map[string]mmdbtype.Map{"81.2.69.0/24": record("GB", ""), "198.51.100.0/24": record("US", "CA")})
	for _, bench := range []struct{ name, addr string }{
		{"country", "81.2.69.142"}, {"subdivision", "198.51.100.7"}, {"unknown", "8.8.8.8"},
	} {
		addr := netip.MustParseAddr(bench.addr)
		b.Run(bench.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				db.Region(addr)
			}
		})
	}
}
