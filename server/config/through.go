package config

import (
	"slices"

	"github.com/goccy/go-yaml/ast"
)

// forwardable is what of a visitor may go along with a pixel that the server sends.
var forwardable = []string{"ip", "user_agent", "query"}

// passage is how a tag's pixel goes to its vendor.
type passage struct {
	at      value
	through bool
	forward []string
}

// passage reads through and forward.
func (f fields) passage() passage {
	p := passage{at: f.get("through")}
	const hint = "write through: gate, or leave it out"
	if _, yes := p.at.node.(*ast.BoolNode); yes {
		p.at.fail(hint, "this is %s, not gate", kind(p.at.node))
	} else if word, ok := p.at.line(maxLine); ok {
		p.through = word == "gate"
		if !p.through {
			p.at.fail(hint, "%s is not gate", quote(word))
		}
	}
	forward := f.get("forward")
	for _, at := range forward.list(len(forwardable)) {
		name, ok := at.line(maxLine)
		switch {
		case !ok:
		case !slices.Contains(forwardable, name):
			at.oneOf(forwardable...)
		case slices.Contains(p.forward, name):
			at.fail("remove one of them", "%s is there twice", quote(name))
		default:
			p.forward = append(p.forward, name)
		}
	}
	if forward.present() && !p.at.present() {
		forward.fail("add through: gate, or leave it out", "without the gate the browser itself tells the vendor all of that")
	}
	return p
}

// passes puts the passage into a tag that loads something.
func (t *item) passes(p passage) {
	load := &t.tag.Load
	if p.through && (load.Script != "" || load.Pixel == "") {
		p.at.fail("leave it out", "only a pixel goes through the gate: what a script sends goes from the page to its vendor")
		return
	}
	t.tag.Through, t.tag.Forward = p.through, p.forward
}
