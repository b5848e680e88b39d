package vendors

import (
	"strings"
	"testing"
	"testing/fstest"
)

const good = `id: a
aliases: [aa]
name: A
company: A Ltd
category: analytics
account:
  param: id
  pattern: 'A-[0-9]+'
  example: A-1
hosts: [a.example]
load:
  script: https://a.example/{id}.js
no_script: none
`

func TestReadErrors(t *testing.T) {
	for _, test := range []struct{ name, old, new, want string }{
		{"unknown key", "no_script: none", "no_script: none\ncolour: red", `a.yaml:14: unknown field "colour"`},
		{"unknown key in load", "  script:", "  skript: x\n  script:", `a.yaml:12: unknown field "skript"`},
		{"wrong type", "aliases: [aa]", "aliases: {aa: 1}", "a.yaml:2: "},
		{"no YAML", "name: A", "name: [", "a.yaml:"},
		{"a second document", "no_script: none", "no_script: none\n---\nid: b", "a.yaml:1: it has 2 documents"},
		{"no name", "name: A\n", "", "a.yaml:1: name is missing"},
		{"empty company", "company: A Ltd", "company: ''", "a.yaml:4: company is missing"},
		{"no category", "category: analytics\n", "", "a.yaml:1: category is missing"},
		{"another category", "analytics", "statistics", `a.yaml:5: category is "statistics": it is one of necessary`},
		{"another id", "id: a\n", "id: b\n", `a.yaml:1: id is "b": the file's name makes it "a"`},
		{"alias like its own id", "[aa]", "[aa, a]", `a.yaml:2: the name "a" is taken by a`},
		{"bad pattern", "A-[0-9]+", "A-[0-9+", "a.yaml:8: pattern \"A-[0-9+\": error parsing regexp"},
		{"wrong example", "example: A-1", "example: B-1", `a.yaml:9: "B-1" does not match A-[0-9]+`},
		{"no script", "  script: https://a.example/{id}.js", "  after: x()", "a.yaml:12: load does nothing"},
		{"plain HTTP", "https://a.example/{id}", "http://a.example/{id}", "a.yaml:12: script is \"http://a.example/A-1.js\": it is a URL on https"},
		{"unknown placeholder", "{id}.js", "{hots}.js", `a.yaml:12: script is "https://a.example/{hots}.js"`},
		{"reserved option", "no_script: none", "no_script: none\noptions: [{name: tag}]", `a.yaml:14: an option cannot be called "tag"`},
		{"server on plain HTTP", "no_script: none", "no_script: none\nserver: {endpoint: 'http://a.example/'}", "a.yaml:14: endpoint is \"http://a.example/\": it is a URL on https"},
		{"server with a query", "no_script: none", "no_script: none\nserver: {endpoint: 'https://a.example/?x=1'}", "a.yaml:14: endpoint is"},
		{"address without a path", "no_script: none", "no_script: none\naddresses: [www.a.example]", `a.yaml:14: addresses has "www.a.example": it is a host and the beginning of a path`},
		{"address with a scheme", "no_script: none", "no_script: none\naddresses: ['https://www.a.example/tr']", `a.yaml:14: addresses has "https://www.a.example/tr"`},
		{"address with a placeholder", "no_script: none", "no_script: none\naddresses: ['{host}/tr']", `a.yaml:14: addresses has "{host}/tr"`},
		{"global that is code", "no_script: none", "no_script: none\nglobals: ['a = 1']", `a.yaml:14: globals has "a = 1": it is a name such as _abc, or a call`},
		{"global with other quotes", "no_script: none", "no_script: none\nglobals: ['a(\"b\")']", "a.yaml:14: globals has"},
		{"global with half a call", "no_script: none", "no_script: none\nglobals: ['a(']", "a.yaml:14: globals has"},
		{"unknown no_script", "no_script: none", "no_script: video", `a.yaml:13: no_script is "video"`},
	} {
		t.Run(test.name, func(t *testing.T) {
			text := strings.Replace(good, test.old, test.new, 1)
			_, err := read(fstest.MapFS{"library/a.yaml": {Data: []byte(text)}})
			if err == nil || !strings.HasPrefix(err.Error(), test.want) {
				t.Errorf("got %v, want %s", err, test.want)
			}
		})
	}
}

func TestReadRefusesATakenName(t *testing.T) {
	second := strings.NewReplacer("id: a\n", "id: b\n", "[aa]", "[bb, aa]").Replace(good)
	_, err := read(fstest.MapFS{"library/a.yaml": {Data: []byte(good)}, "library/b.yaml": {Data: []byte(second)}})
	if want := `b.yaml:2: the name "aa" is taken by a`; err == nil || err.Error() != want {
		t.Errorf("got %v, want %s", err, want)
	}
}
