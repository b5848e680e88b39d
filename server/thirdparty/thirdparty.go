// Package thirdparty knows, of some two thousand companies that websites load things from, which hosts are theirs and what
// kind of thing that is. It knows less of each than the vendor library, which is asked first, and more of them.
//
// entities.tsv is made by make thirdparty from the npm package third-party-web (MIT, see NOTICE): a line is a company's
// name, its kind and its hosts, "*." for a domain and all below it.
package thirdparty

import (
	_ "embed"
	"strings"
	"sync"
)

//go:embed entities.tsv
var entities string

// more is written by hand, in the same form: what was met in pages and is missing in entities.tsv, or wrong.
//
//go:embed more.tsv
var more string

// Kind is what a company's hosts are for, in the words of third-party-web.
type Kind string

// The kinds.
const (
	Ad        Kind = "ad"
	Analytics Kind = "analytics"
	CDN       Kind = "cdn"
	CMP       Kind = "consent-provider"
	Content   Kind = "content"
	Support   Kind = "customer-success"
	Hosting   Kind = "hosting"
	Marketing Kind = "marketing"
	Other     Kind = "other"
	Social    Kind = "social"
	Manager   Kind = "tag-manager"
	Utility   Kind = "utility"
	Video     Kind = "video"
)

// Entity is a company, or a product of one.
type Entity struct {
	Name string
	Kind Kind
}

// Category is the category in which its tags usually belong; "" where what it serves is no tag, or may be anything: what a
// page is made of, such as libraries, pictures and payment.
func (e Entity) Category() string {
	switch e.Kind {
	case Ad, Marketing, Social:
		return "marketing"
	case Analytics:
		return "analytics"
	case Support, Video, Manager:
		return "functional"
	default:
		return ""
	}
}

// table is made of the text at the first question.
var table = sync.OnceValue(func() map[string]Entity {
	t := make(map[string]Entity, 4096)
	for line := range strings.Lines(entities + more) {
		fields := strings.Split(strings.TrimSuffix(line, "\n"), "\t")
		for host := range strings.FieldsSeq(fields[2]) {
			t[host] = Entity{fields[0], Kind(fields[1])}
		}
	}
	return t
})

// Find returns whose a host is. The closest name decides: that of the host itself, then the longest domain above it.
func Find(host string) (Entity, bool) {
	if i := strings.LastIndexByte(host, ':'); i >= 0 && !strings.HasSuffix(host, "]") {
		host = host[:i]
	}
	t := table()
	if e, found := t[host]; found {
		return e, true
	}
	for at := host; at != ""; {
		if e, found := t["*."+at]; found {
			return e, true
		}
		_, at, _ = strings.Cut(at, ".")
	}
	return Entity{}, false
}
