package config

import (
	"errors"
	"strings"

	"github.com/tdewolff/parse/v2"
	"github.com/tdewolff/parse/v2/js"
)

// script reads the body of a JavaScript function. The gate puts it into a function in a script that holds all tags of
// the site: a mistake in one would stop them all, and a stray "}" would run outside of consent. So it has to parse, both
// by itself and as that function, and must not end the function or the element that it stands in.
func (v value) script() string {
	body, ok := v.text()
	if !ok {
		return ""
	}
	if strings.TrimSpace(body) == "" {
		v.fail("write JavaScript, or leave the key out", "it is empty")
		return ""
	}
	for _, bad := range []string{"<!--", "-->", "</script"} {
		if at := strings.Index(strings.ToLower(body), bad); at >= 0 {
			line, column := position(body[:at])
			v.within(body, line, column).fail("write it another way, such as with a space or an escape in it",
				"%q means something else in HTML", bad)
			return ""
		}
	}
	if err := check(body); err != nil {
		var at *parse.Error
		if errors.As(err, &at) {
			line, column, _ := at.Position()
			v.within(body, line, column).fail("write the body of a function", "this is not JavaScript: %s", at.Message)
			return ""
		}
		v.fail("write the body of a function", "%v", err)
	}
	return body
}

// position is the line and column, from 1, behind the text.
func position(text string) (line, column int) {
	last := text[strings.LastIndexByte(text, '\n')+1:]
	return 1 + strings.Count(text, "\n"), 1 + len([]rune(last))
}

// check parses a body alone, for the place of an error, and then as the gate will use it.
func check(body string) error {
	if _, err := js.Parse(parse.NewInputString(body), js.Options{Inline: true}); err != nil {
		return err
	}
	const leaves = "it does not stay inside of its function"
	tree, err := js.Parse(parse.NewInputString("(function(ok){\n"+body+"\n})"), js.Options{})
	if err != nil {
		var at *parse.Error
		if errors.As(err, &at) {
			at.Line--
		}
		return err
	}
	if len(tree.List) != 1 {
		return errors.New(leaves)
	}
	statement, ok := tree.List[0].(*js.ExprStmt)
	if !ok {
		return errors.New(leaves)
	}
	group, ok := statement.Value.(*js.GroupExpr)
	if !ok {
		return errors.New(leaves)
	}
	if _, ok = group.X.(*js.FuncDecl); !ok {
		return errors.New(leaves)
	}
	var found error
	js.Walk(early{found: &found}, tree)
	return found
}

// early finds what parses, but is an early error in a browser, where it would keep the whole script from running.
type early struct {
	loop, breakable, method bool
	labels                  []string
	found                   *error
}

// Enter implements js.IVisitor.
func (e early) Enter(n js.INode) js.IVisitor {
	switch n := n.(type) {
	case *js.FuncDecl:
		e.loop, e.breakable, e.method, e.labels = false, false, false, nil
	case *js.ArrowFunc:
		e.loop, e.breakable, e.labels = false, false, nil
	case *js.MethodDecl, *js.ClassDecl:
		e.loop, e.breakable, e.method, e.labels = false, false, true, nil
	case *js.ForStmt, *js.ForInStmt, *js.ForOfStmt, *js.WhileStmt, *js.DoWhileStmt:
		e.loop, e.breakable = true, true
	case *js.SwitchStmt:
		e.breakable = true
	case *js.LabelledStmt:
		e.labels = append(e.labels[:len(e.labels):len(e.labels)], string(n.Label))
	case *js.BranchStmt:
		e.branch(n)
	case *js.ImportMetaExpr:
		*e.found = errors.New("import.meta is for modules")
	case *js.WithStmt:
		*e.found = errors.New("with is not for strict code")
	case *js.LiteralExpr:
		if n.TokenType == js.SuperToken && !e.method {
			*e.found = errors.New("super is for methods")
		}
	}
	return e
}

// Exit implements js.IVisitor.
func (e early) Exit(js.INode) {}

func (e early) branch(n *js.BranchStmt) {
	if n.Label != nil {
		for _, l := range e.labels {
			if l == string(n.Label) {
				return
			}
		}
		*e.found = errors.New("there is no label " + string(n.Label))
		return
	}
	if n.Type == js.ContinueToken && !e.loop || n.Type == js.BreakToken && !e.breakable {
		*e.found = errors.New(n.Type.String() + " is outside of a loop")
	}
}
