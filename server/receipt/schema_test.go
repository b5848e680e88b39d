package receipt_test

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"

	"github.com/stilehq/stile/banner"
	"github.com/stilehq/stile/server/receipt"
)

type bannerService = banner.Service

func encode(b []byte) string { return base64.StdEncoding.EncodeToString(b) }

func quote(s string) string {
	text, err := json.Marshal(s)
	if err != nil {
		panic(err)
	}
	return string(text)
}

func schema(t *testing.T) *jsonschema.Schema {
	t.Helper()
	doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(receipt.Schema()))
	if err != nil {
		t.Fatal(err)
	}
	c := jsonschema.NewCompiler()
	if err := c.AddResource("receipt.json", doc); err != nil {
		t.Fatal(err)
	}
	s, err := c.Compile("receipt.json")
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// failer is a testing.T or a rapid.T.
type failer interface {
	Helper()
	Fatal(args ...any)
}

func read(t failer, doc []byte) any {
	t.Helper()
	v, err := jsonschema.UnmarshalJSON(bytes.NewReader(doc))
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// dig is the value at a path of names and positions, or nil.
func dig(t failer, v any, path ...any) any {
	t.Helper()
	for _, step := range path {
		switch step := step.(type) {
		case string:
			o, is := v.(map[string]any)
			if !is {
				t.Fatal(fmt.Sprintf("no object before %q in %v", step, path))
			}
			v = o[step]
		case int:
			l, is := v.([]any)
			if !is || step >= len(l) {
				t.Fatal(fmt.Sprintf("no item %d in %v", step, path))
			}
			v = l[step]
		}
	}
	return v
}

func TestSchema(t *testing.T) {
	valid := schema(t)
	doc, _, r := shop(t)
	if err := valid.Validate(read(t, doc)); err != nil {
		t.Error(err)
	}
	e := r.Entries[0]
	line, err := receipt.Record27560(r.Address, &e.Record, nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := valid.Validate(read(t, line)); err != nil {
		t.Error(err)
	}
	for _, test := range []struct{ name, was, is string }{
		{"no signature", `"stile:signature"`, `"signature"`},
		{"another form", "#receipt-v1", "#receipt-v2"},
		{"an address", `"stile:gpc": true`, `"stile:gpc": true, "stile:ip": "192.0.2.1"`},
		{"no flag", `"stile:gpc": true`, `"stile:gpc": "1"`},
		{"a state", "dpv:ConsentWithdrawn", "dpv:ConsentUnknown"},
		{"a negative number", `"stile:number": 3`, `"stile:number": -3`},
		{"half a number", `"stile:number": 3`, `"stile:number": 3.5`},
		{"a time", `"dpv:isIndicatedAtTime": "2026-11-23T02:00:00.000Z"`, `"dpv:isIndicatedAtTime": "2026-11-23 02:00"`},
		{"an id", `"dct:identifier": "01000000-0000-0000-0000-000000000003"`, `"dct:identifier": "3"`},
		{"a purpose", `"stile:granted": ["marketing"]`, `"stile:granted": "marketing"`},
		{"no proof", `"stile:proof": ["`, `"stile:evidence": ["`},
		{"no records", `"records": [`, `"records": [], "stile:lists": [`},
		{"a context in a record", `"@id": "urn:uuid:01000000-0000-0000-0000-000000000001",`, `"@id": "urn:uuid:01000000-0000-0000-0000-000000000001", "@context": {"dct": "", "dpv": "", "stile": ""},`},
		{"a checkpoint", `"stile:checkpoint": "stile/`, `"stile:checkpoint": "other/`},
	} {
		if !bytes.Contains(doc, []byte(test.was)) {
			t.Fatalf("%s: %s is not in the receipt", test.name, test.was)
		}
		if err := valid.Validate(read(t, bytes.Replace(doc, []byte(test.was), []byte(test.is), 1))); err == nil {
			t.Errorf("%s: it is valid", test.name)
		}
	}
	for _, is := range []string{`"stile:log": {}, `, ``} {
		broken := bytes.Replace(line, []byte(`"@type":"dpv:ConsentRecord"`), []byte(is+`"@type":"dpv:ConsentRecord"`), 1)
		if err := valid.Validate(read(t, broken)); (err != nil) != (is != "") {
			t.Errorf("an exported record with %q: %v", is, err)
		}
	}
}
