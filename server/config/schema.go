package config

import (
	"encoding/json"
	"fmt"
	"reflect"
	"strings"

	"github.com/invopop/jsonschema"
)

// Schema is the JSON schema (draft 2020-12) of a stile.yaml, for editors, with the names of the vendors, their options
// and the languages that o knows. What it accepts may still be refused: whether needs are circular, or a cookie domain
// is a public suffix, a schema cannot say.
func Schema(o Options) []byte {
	reflector := jsonschema.Reflector{
		Anonymous: true, ExpandedStruct: true,
		Namer: func(t reflect.Type) string { return strings.TrimSuffix(t.Name(), "File") },
	}
	root := reflector.Reflect(siteFile{})
	root.Title = "stile.yaml"
	root.Description = "A site of the consent gate Stile."
	tag := root.Definitions["tag"]
	*tag = jsonschema.Schema{OneOf: []*jsonschema.Schema{{Ref: "#/$defs/vendor"}, {Ref: "#/$defs/custom"}}}
	for _, part := range []any{vendorFile{}, customFile{}} {
		one := reflector.Reflect(part)
		for name, def := range one.Definitions {
			root.Definitions[name] = def
		}
		one.Definitions, one.Version = nil, ""
		root.Definitions[reflector.Namer(reflect.TypeOf(part))] = one
	}
	custom := root.Definitions["custom"]
	for _, key := range []string{"script", "pixel", "inline"} {
		custom.OneOf = append(custom.OneOf, &jsonschema.Schema{Required: []string{key}})
	}
	custom.DependentRequired = map[string][]string{"integrity": {"script"}, "through": {"pixel"}, "forward": {"through"}}
	root.Definitions["vendor"].DependentRequired = map[string][]string{"forward": {"through"}}
	cookie := *root.Definitions["cookie"]
	root.Definitions["cookie"] = &jsonschema.Schema{AnyOf: []*jsonschema.Schema{{Type: "string", MinLength: new(uint64(1))}, &cookie}}
	retention := *root.Definitions["retention"]
	keep, _ := retention.Properties.Get("keep")
	root.Definitions["retention"] = &jsonschema.Schema{AnyOf: []*jsonschema.Schema{{Type: "string", Pattern: keep.Pattern}, &retention}}

	sightings := *root.Definitions["sightings"]
	share, _ := sightings.Properties.Get("share")
	root.Definitions["sightings"] = &jsonschema.Schema{AnyOf: []*jsonschema.Schema{{Type: "number", ExclusiveMinimum: share.ExclusiveMinimum, Maximum: share.Maximum}, &sightings}}

	category := *root.Definitions["category"]
	root.Definitions["category"] = &jsonschema.Schema{AnyOf: []*jsonschema.Schema{&category, {Type: "null"}}}
	categories, _ := root.Properties.Get("categories")
	categories.PropertyNames = &jsonschema.Schema{Pattern: categoryName.String()}
	categories.MinProperties, categories.MaxProperties = new(uint64(1)), new(uint64(maxCategories))

	known(root, o)
	out, err := json.MarshalIndent(root, "", "  ")
	if err != nil {
		panic(fmt.Sprintf("rendering the schema: %v", err)) // it has nothing that JSON cannot say
	}
	return append(out, '\n')
}

// known puts the names of languages, vendors and options into the schema.
func known(root *jsonschema.Schema, o Options) {
	if len(o.Languages) > 0 {
		languages, _ := root.Properties.Get("languages")
		languages.Items = &jsonschema.Schema{Type: "string"}
		for _, l := range o.Languages {
			languages.Items.Enum = append(languages.Items.Enum, l)
		}
	}
	if o.Vendors == nil {
		return
	}
	properties := root.Definitions["vendor"].Properties
	vendor, _ := properties.Get("vendor")
	for _, v := range o.Vendors.All() {
		vendor.Enum = append(vendor.Enum, v.ID)
		for _, alias := range v.Aliases {
			vendor.Enum = append(vendor.Enum, alias)
		}
		for _, option := range v.Options {
			s, there := properties.Get(option.Name)
			if !there {
				s = textOrNumber("")
				properties.Set(option.Name, s)
				s.Description = "An option of " + v.ID
			} else {
				s.Description += ", " + v.ID
			}
			s.Examples = append(s.Examples, option.Example)
		}
	}
}
