package main

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/stilehq/stile/banner"
)

const showTime = "2006-01-02 15:04:05 UTC"

// printRecord prints a record for a person. What a visitor or a browser sent is printed without control characters.
func printRecord(w io.Writer, s *shownRecord) error {
	var b bytes.Buffer
	fmt.Fprintf(&b, "RECORD %s: %s\n", s.Record.ID, s.State)
	printFields(&b, s)
	b.WriteString("\nWORDS THAT WERE SHOWN\n")
	printNotice(&b, s)
	b.WriteString("\nPOLICY\n")
	printPolicies(&b, s)
	fmt.Fprintf(&b, "\nVENDORS (list %s)\n", s.Record.Vendors)
	for _, v := range s.Vendors {
		fmt.Fprintf(&b, "  %s\n", v)
	}
	if len(s.Vendors) == 0 {
		b.WriteString("  none\n")
	}
	b.WriteString("\nCHAIN\n")
	t := tabwriter.NewWriter(&b, 0, 8, 2, ' ', 0)
	for _, r := range s.Chain {
		mark := " "
		if r.ID == s.Record.ID {
			mark = ">"
		}
		fmt.Fprintf(t, "%s %s\t%s\t%s\tgranted %s\tdenied %s\t%s\n", mark, r.Time.Format(showTime), r.ID, r.Action, listed(r.Granted), listed(r.Denied), r.State)
	}
	if err := t.Flush(); err != nil {
		return err
	}
	_, err := io.WriteString(w, printable(b.String()))
	return err
}

// printable keeps a terminal from being told what to do, and text from being shown in another order than it has.
func printable(text string) string {
	return strings.Map(func(r rune) rune {
		if r != '\n' && (r < ' ' || r >= 0x7f && r < 0xa0) || r >= 0x2028 && r <= 0x202e || r >= 0x2066 && r <= 0x2069 {
			return '\uFFFD'
		}
		return r
	}, text)
}

func listed(items []string) string { return cmp.Or(strings.Join(items, ", "), "-") }

func printFields(b *bytes.Buffer, s *shownRecord) {
	r := &s.Record
	t := tabwriter.NewWriter(b, 0, 8, 2, ' ', 0)
	for _, f := range [][2]string{
		{"site", r.Site},
		{"time", r.Time.Format(showTime)},
		{"expires", moment(r.Expiry)},
		{"action", r.Action},
		{"granted", listed(r.Granted)},
		{"denied", listed(r.Denied)},
		{"services granted", listed(r.Services)},
		{"services refused", listed(r.Refused)},
		{"regime", r.Regime},
		{"country", r.Country},
		{"language", r.Language},
		{"surface", r.Surface},
		{"gpc", yes(r.GPC)},
		{"age", r.Age},
		{"visitor", r.Subject},
		{"previous", r.Previous},
		{"key", s.Key},
		{"number in the log", fmt.Sprint(r.Leaf)},
	} {
		fmt.Fprintf(t, "  %s\t%s\n", f[0], cmp.Or(f[1], "-"))
	}
	_ = t.Flush() // into memory
}

func moment(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.Format(showTime)
}

func yes(b bool) string {
	if b {
		return "yes"
	}
	return "no"
}

func printPolicies(b *bytes.Buffer, s *shownRecord) {
	if len(s.Policies) == 0 {
		fmt.Fprintf(b, "  version %s: not kept here\n", s.Record.Policy)
	}
	for _, p := range s.Policies {
		material := ""
		if p.Material {
			material = ", material"
		}
		fmt.Fprintf(b, "  version %s, hash %s, since %s, controller %s%s\n", p.Version, p.Hash, moment(p.Since), cmp.Or(p.Controller, "-"), material)
	}
}

// printNotice prints the words as the visitor read them, by what they were for. A form that this stile does not know is
// printed as it is kept.
func printNotice(b *bytes.Buffer, s *shownRecord) {
	n := s.Notice
	if n == nil {
		fmt.Fprintf(b, "  notice %s: not kept here\n", s.Record.Notice)
		return
	}
	fmt.Fprintf(b, "  notice %s, language %s, regime %s, policy %s, kept since %s\n", n.Hash, n.Language, n.Regime, n.Policy, moment(n.Since))
	var text struct{ View *banner.View }
	if err := json.Unmarshal(n.Text, &text); err != nil || text.View == nil || text.View.Words == nil {
		fmt.Fprintf(b, "  %s\n", n.Text)
		return
	}
	for line := range strings.Lines(text.View.Text()) {
		fmt.Fprintf(b, "  | %s", line)
	}
}
