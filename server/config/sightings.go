package config

import (
	"slices"
	"strconv"

	"github.com/goccy/go-yaml/ast"
)

// sightings is how many page views report what they loaded, and what of that is not told: 0.05, or {share: 0.05, own:
// [cdn.shop.example]}.
func sightings(v value) (share float64, own []string) {
	if _, isMapping := v.node.(*ast.MappingNode); !isMapping {
		return v.share(), nil
	}
	f := v.fields(keys[sightingsFile]())
	share = f.need("share", "say on which share of page views: share: 0.05").share()
	for _, at := range f.get("own").list(64) {
		host, ok := at.line(300)
		switch {
		case !ok:
		case !hostPattern.MatchString(host):
			at.fail(`write cdn.shop.example or "*.shop.example"`, "%s is not a host", quote(host))
		case slices.Contains(own, host):
			at.fail("remove one of them", "%s is there twice", quote(host))
		default:
			own = append(own, host)
		}
	}
	return share, own
}

// share reads a number over 0, and at most 1.
func (v value) share() float64 {
	var text string
	switch n := v.node.(type) {
	case nil:
		return 0
	case *ast.FloatNode:
		text = n.Token.Value
	case *ast.IntegerNode:
		text = n.Token.Value
	default:
		v.wrong("a number")
		return 0
	}
	x, err := strconv.ParseFloat(text, 64)
	if err != nil || x <= 0 || x > 1 {
		v.fail("write 0.05 for every twentieth page view, 1 for all, or leave it out", "%s is no share", quote(text))
		return 0
	}
	return x
}
