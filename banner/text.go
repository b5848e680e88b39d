package banner

import (
	"cmp"
	"fmt"
	"strings"
)

// Text is both layers as plain text, for whoever looks up what a visitor read: the banner with its buttons in brackets, in
// their order, then what each category is for and who is behind it.
func (v View) Text() string {
	var b strings.Builder
	v.firstLayer(&b)
	b.WriteByte('\n')
	for _, c := range v.Categories {
		always := ""
		if c.Required {
			always = " [" + v.Words.Always + "]"
		}
		fmt.Fprintf(&b, "%s%s: %s\n", c.Title, always, c.Purpose)
		for _, s := range c.Services {
			fmt.Fprintf(&b, "  %s, %s\n", s.Name, s.who())
			for _, k := range s.Cookies {
				fmt.Fprintf(&b, "    %s, %s: %s\n", k.Name, v.Words.Span(k.Lifetime), cmp.Or(k.Purpose, c.Purpose))
			}
		}
	}
	return b.String()
}

func (v View) firstLayer(b *strings.Builder) {
	w := v.Words
	fmt.Fprintln(b, v.Title())
	if reason := v.Reason(); reason != "" {
		fmt.Fprintln(b, reason)
	}
	for _, g := range v.groups() {
		fmt.Fprintln(b, g.intro)
		for _, item := range g.items {
			fmt.Fprintf(b, "- %s: %s\n", item.Title, item.Purpose)
		}
	}
	fmt.Fprintf(b, "%s %s\n", w.Refuse, w.Recipients)
	buttons := []string{w.RejectAll}
	if v.sells() {
		buttons = []string{w.DoNotSell, w.RejectAll}
	}
	if !v.Separate {
		buttons = append(buttons, w.AcceptAll)
	}
	for _, text := range append(buttons, w.Choose) {
		fmt.Fprintf(b, "[%s] ", text)
	}
	b.WriteByte('\n')
}
