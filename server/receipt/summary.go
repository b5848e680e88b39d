package receipt

import (
	"fmt"
	"strings"
	"unicode"

	"github.com/google/uuid"

	"github.com/stilehq/stile/server/ledger"
)

const minute = "2006-01-02 15:04:05 UTC"

// Summary is a genuine receipt in lines for a person: whose it is, each record, and what was checked.
func Summary(g *Genuine) string {
	var b strings.Builder
	line := func(format string, args ...any) {
		for i, a := range args {
			if s, ok := a.(string); ok {
				args[i] = plain(s)
			}
		}
		fmt.Fprintf(&b, format+"\n", args...)
	}
	newest := &g.Entries[len(g.Entries)-1].Record
	line("receipt %s of site %s", newest.ID.String(), g.Site)
	if s := g.doc.shown[len(g.doc.shown)-1]; s.company != "" {
		line("controller: %s %s", s.company, s.contact)
	}
	line("made %s at %s", g.Made.UTC().Format(minute), g.Address)
	have := make(map[uuid.UUID]bool)
	for i := range g.Entries {
		r, s := &g.Entries[i].Record, &g.doc.shown[i]
		line("")
		line("%d. %s  %s", i+1, r.Time.UTC().Format(minute), strings.Join(origins(r), ", "))
		line("   granted: %s", s.names(r.Granted, r.Services))
		line("   denied:  %s", s.names(r.Denied, r.Refused))
		line("   words:   %s", s.text(r))
		line("   record:  %s, entry %d of the log", r.ID.String(), r.Leaf)
		if r.Previous != uuid.Nil && !have[r.Previous] {
			line("   before:  record %s, which is not in this receipt: it may have been deleted after its time", r.Previous.String())
		}
		have[r.ID] = true
	}
	line("")
	line("Genuine. Nothing in it was altered: all of it follows from the records and the words.")
	line("It is signed by %s.", g.Key)
	line("Each record is in the log %s, which had %d entries on %s, and the log signed that.", g.Log, g.Size, g.At.Format(minute))
	return b.String()
}

// origins are how a record came to be.
func origins(r *ledger.Record) (list []string) {
	list = append(list, string(r.Action))
	for _, s := range []string{r.Surface, r.Regime, r.Country, r.Language} {
		if s != "" {
			list = append(list, s)
		}
	}
	if r.GPC {
		list = append(list, "with Global Privacy Control")
	}
	if r.Age != "" {
		list = append(list, r.Age+" than the age asked for")
	}
	return list
}

// names are categories and single vendors as the visitor read them, each with its name in the record.
func (s *shown) names(categories, services []string) string {
	var all []string
	for _, name := range categories {
		all = append(all, titled(s.words.category(name).Title, name))
	}
	for _, id := range services {
		title := ""
		for _, c := range s.words.Categories {
			for _, v := range c.Services {
				if v.ID == id {
					title = v.Name
				}
			}
		}
		all = append(all, titled(title, id))
	}
	if len(all) == 0 {
		return "nothing"
	}
	return strings.Join(all, ", ")
}

func titled(title, name string) string {
	if title == "" || title == name {
		return name
	}
	return title + " (" + name + ")"
}

func (s *shown) text(r *ledger.Record) string {
	switch {
	case r.Notice == "":
		return "the record names none"
	case !s.known:
		return r.Notice + ", policy " + r.Policy + "; the text is not in this receipt"
	}
	return r.Notice + ", policy " + r.Policy + "; the text is in this receipt, and has that hash"
}

// plain keeps what a receipt says from writing anything but letters to a terminal.
func plain(s string) string {
	return strings.Map(func(r rune) rune {
		if !unicode.IsGraphic(r) {
			return ' '
		}
		return r
	}, s)
}
