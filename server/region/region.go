// Package region tells from a visitor's address which law they are under: the address is found by Proxies, and its region
// by a Database of the operator's. Neither keeps, logs or returns in an error the address of a visitor (C5).
//
// A region is an ISO 3166-1 country ("DE"), or an ISO 3166-2 subdivision of one ("US-CA"). An unknown one is "", and an
// unknown address the zero netip.Addr: whatever is in doubt is unknown, since consent then applies the strictest regime.
package region

import (
	"fmt"
	"net/netip"
	"os"
	"strings"
	"sync/atomic"

	"github.com/oschwald/maxminddb-golang/v2"
)

// Database is a MaxMind DB file in the layout of MaxMind's Country and City databases (country.iso_code, and optionally
// subdivisions[0].iso_code), which DB-IP and others share. Stile ships none: their licences are the operator's to accept.
//
// It is safe for concurrent use, Close included.
type Database struct {
	reader atomic.Pointer[maxminddb.Reader] // nil once closed
}

// Open reads a database into memory, of which it takes as much as the file is long. It is not mapped, so that the file can
// be overwritten in place while visitors are served; it is not followed either: Open it again.
//
// The error is one line, and says what to do about a file that cannot be read, is no MaxMind DB, or has no countries.
func Open(path string) (*Database, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("the region database cannot be read: %w; name a MaxMind DB file (.mmdb) that can", err)
	}
	reader, err := maxminddb.OpenBytes(data)
	if err != nil {
		return nil, fmt.Errorf("the region database %s is not a whole MaxMind DB file: %w; get it again, and unpack it where it is packed", path, err)
	}
	if !hasCountries(reader) {
		return nil, fmt.Errorf("the region database %s (%q) holds no country.iso_code; use one in the layout of MaxMind's Country or City databases",
			path, reader.Metadata.DatabaseType)
	}
	d := &Database{}
	d.reader.Store(reader)
	return d, nil
}

// mostProbed bounds how many networks are looked at for a country. A country database has one in nearly each of them; one
// of networks or carriers has a million without.
const mostProbed = 10_000

func hasCountries(reader *maxminddb.Reader) bool {
	left := mostProbed
	for record := range reader.Networks() {
		if read(record) != "" {
			return true
		}
		if left--; left == 0 {
			break
		}
	}
	return false
}

// Region returns where an address is: "US-CA" where the database knows the subdivision, else "US", else "". Private,
// loopback and other addresses that are not global are unknown, whatever the database says of them. An IPv4 address that
// is mapped into IPv6 is looked up as what it is.
func (d *Database) Region(addr netip.Addr) string {
	addr = addr.Unmap()
	reader := d.reader.Load()
	if reader == nil || !addr.IsGlobalUnicast() || addr.IsPrivate() {
		return ""
	}
	return read(reader.Lookup(addr))
}

// Close lets go of the database: from then on every address is unknown. It may be called more than once.
func (d *Database) Close() error {
	d.reader.Store(nil)
	return nil
}

// read takes the region from a record, and decodes nothing else of it. The country is where the address is used. There is
// no falling back to registered_country, which is where its owner registered it: a carrier's American address used in
// Germany would be released to under the American rule.
func read(record maxminddb.Result) string {
	var country, subdivision string
	if record.DecodePath(&country, "country", "iso_code") != nil {
		return ""
	}
	region := Parse(country)
	if region == "" || record.DecodePath(&subdivision, "subdivisions", 0, "iso_code") != nil || subdivision == "" {
		return region
	}
	if divided := Parse(country + "-" + subdivision); divided != "" {
		return divided
	}
	return region
}

// Parse returns s if it has the form of a region, two capitals and optionally a hyphen and one to three capitals or digits
// (ISO 3166-2), else "". XX (Cloudflare) and ZZ (Unicode CLDR) say that the region is unknown, and give "" as well.
func Parse(s string) string {
	country, subdivision, divided := strings.Cut(s, "-")
	if len(country) != 2 || !capitals(country, false) || country == "XX" || country == "ZZ" {
		return ""
	}
	if divided && (subdivision == "" || len(subdivision) > 3 || !capitals(subdivision, true)) {
		return ""
	}
	return s
}

func capitals(s string, digits bool) bool {
	for _, c := range []byte(s) {
		if (c < 'A' || c > 'Z') && (!digits || c < '0' || c > '9') {
			return false
		}
	}
	return true
}
