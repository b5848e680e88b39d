package dashboard

import (
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/stilehq/stile/server/ledger"
)

const entriesOnPage = 50

// trailView is a page of the audit trail.
type trailView struct {
	Site, Act, Who, Wrong string
	Acts                  []term
	Entries               []entryView
	Older, Newest         string // addresses, or ""
	Filtered              bool
}

type entryView struct {
	When                             at
	Who, ByWho, What, Count, Details string // ByWho: the address of all that they did
	Leaf, Leaves                     string
	Everywhere                       bool // it is about all sites
}

// trail answers GET /admin/sites/{site}/trail: who did what with records, newest first.
func (d *Dashboard) trail(w http.ResponseWriter, a *ask) error {
	query := a.URL.Query()
	v := trailView{Site: a.site.Name, Act: query.Get("act"), Who: strings.TrimSpace(query.Get("who")), Acts: acts}
	q := ledger.TrailQuery{Site: a.site.Name, Act: ledger.Act(v.Act), Actor: actor(v.Who), Limit: entriesOnPage + 1}
	before := query.Get("before")
	if before != "" {
		leaf, err := strconv.ParseInt(before, 10, 64)
		if err != nil || leaf < 0 {
			return fail(http.StatusBadRequest, "before is %.40q: it is a number of the log", before)
		}
		if q.Before = leaf; leaf == 0 {
			q.Limit = 0 // nothing is before the first
		}
	}
	if v.Act != "" && called(acts, v.Act) == v.Act {
		return fail(http.StatusBadRequest, "there is no act %.40q: choose one of the list on the audit trail", v.Act)
	}
	if !utf8.ValidString(v.Who) || strings.ContainsRune(v.Who, 0) || utf8.RuneCountInString(v.Who) > 100 {
		return fail(http.StatusBadRequest, "who is no name of at most 100 characters")
	}
	entries, err := d.Ledger.TrailBack(a.Context(), q)
	if err != nil {
		return err
	}
	if len(entries) > entriesOnPage {
		entries = entries[:entriesOnPage]
		v.Older = v.address(v.Who, fmt.Sprint(entries[entriesOnPage-1].Leaf))
	}
	for i := range entries {
		v.Entries = append(v.Entries, v.entry(&entries[i]))
	}
	v.Filtered = v.Act+v.Who != ""
	if before != "" {
		v.Newest = v.address(v.Who, "")
	}
	f := frame{Title: "Audit trail", Nav: "trail", Lead: "Who looked at, exported, changed or erased records. Each entry is part of the signed log, and cannot be altered."}
	return d.page(w, a, f, trailPage(v))
}

func (v *trailView) address(who, before string) string {
	q := url.Values{}
	for _, p := range [][2]string{{"act", v.Act}, {"who", who}, {"before", before}} {
		if p[1] != "" {
			q.Set(p[0], p[1])
		}
	}
	if len(q) == 0 {
		return sitePath(v.Site, "trail")
	}
	return sitePath(v.Site, "trail") + "?" + q.Encode()
}

func (v *trailView) entry(e *ledger.Audit) entryView {
	leaves := e.Leaves.String()
	if len(leaves) > 40 {
		leaves = leaves[:strings.LastIndexByte(leaves[:40], ',')+1] + " …"
	}
	return entryView{
		When: stampOf(e.Time), Who: who(e.Actor), ByWho: v.address(e.Actor, ""), What: called(acts, string(e.Act)), Count: grouped(int64(e.Count)),
		Details: e.Detail, Leaf: grouped(e.Leaf), Leaves: leaves, Everywhere: e.Site == "",
	}
}

// actor is who is meant by a name: the visitor, the retention, an operator as the ledger writes them, or as they are called.
func actor(name string) string {
	switch {
	case name == "", name == ledger.Visitor, name == ledger.Retention, name == ledger.Somebody, name == ledger.Operator(""), strings.HasPrefix(name, ledger.Operator("")+":"):
		return name
	}
	for _, known := range []string{ledger.Visitor, ledger.Retention, ledger.Somebody, ledger.Operator("")} {
		if strings.EqualFold(name, who(known)) {
			return known
		}
	}
	return ledger.Operator(name)
}
