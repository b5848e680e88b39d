package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"time"

	"github.com/google/uuid"

	"github.com/stilehq/stile/server/ledger"
	"github.com/stilehq/stile/server/rights"
)

type showRecords struct {
	ID   string `arg:"" help:"Id of a record (the visitor's receipt), or the key by which the page sent the choice."`
	Site string `help:"Name of the site. All sites are searched without it."`
	ledgerFlags
	operator
	JSON bool `name:"json" help:"Print JSON."`
}

// shownRecord is all that is kept of a record, as it is printed.
type shownRecord struct {
	Record   exportedRecord  `json:"record"`
	Key      string          `json:"key"`
	State    string          `json:"state"` // in force, taken back, expired, or superseded
	Notice   *shownNotice    `json:"notice"`
	Policies []shownPolicy   `json:"policies"` // of the record's version; more than one where its text was changed
	Vendors  []string        `json:"vendor_list"`
	Chain    []chainedRecord `json:"chain"` // of the visitor, oldest first
}

// shownNotice is the words that were shown.
type shownNotice struct {
	Hash     string          `json:"hash"`
	Language string          `json:"language"`
	Regime   string          `json:"regime"`
	Policy   string          `json:"policy"`
	Since    time.Time       `json:"since"`
	Text     json.RawMessage `json:"text"`
}

// shownPolicy is a version of the policy.
type shownPolicy struct {
	Version    string    `json:"version"`
	Hash       string    `json:"hash"`
	Since      time.Time `json:"since"`
	Material   bool      `json:"material"`
	Controller string    `json:"controller"`
}

// chainedRecord is a record of the same visitor.
type chainedRecord struct {
	ID      string    `json:"id"`
	Time    time.Time `json:"time"`
	Action  string    `json:"action"`
	Granted []string  `json:"granted"`
	Denied  []string  `json:"denied"`
	State   string    `json:"state"`
}

// Run prints what is kept of one record, in words that a person can read (C4, C6).
func (c *showRecords) Run(ctx context.Context, std streams) (err error) {
	id, err := uuid.Parse(c.ID)
	if err != nil || len(c.ID) != 36 {
		return fmt.Errorf("%.80q is no id of a record: that is a UUID, 01938a5c-1c2d-7e3f-8a4b-5c6d7e8f9a0b", c.ID)
	}
	db, err := c.open(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	if err := knownSite(ctx, db, c.Site); err != nil {
		return err
	}
	found, err := findRecord(ctx, db, c.Site, id)
	if err != nil {
		return err
	}
	switch len(found) {
	case 0:
		fmt.Fprintf(std.err, "stile: there is no record %s\n", id)
		return errFound
	case 1:
	default:
		var sites []string
		for i := range found {
			sites = append(sites, found[i].Site)
		}
		return fmt.Errorf("the key %s is of records of %s: name one with --site", id, join(sites))
	}
	shown, leaves, err := gatherRecord(ctx, db, &found[0], time.Now())
	if err != nil {
		return err
	}
	// Noted before it is seen: a look that cannot be noted is none.
	if err := c.audited(ctx, db, ledger.Audit{Act: ledger.ActShow, Site: found[0].Site, Leaves: ledger.LeavesOf(leaves...), Count: len(leaves)}); err != nil {
		return err
	}
	if c.JSON {
		return printJSON(std.out, shown)
	}
	return printRecord(std.out, shown)
}

// findRecord finds the record of an id or, without one, those of a key: no more than one in each site.
func findRecord(ctx context.Context, db *ledger.Ledger, site string, id uuid.UUID) (found []ledger.Record, err error) {
	sites := []string{site}
	if site == "" {
		if sites, err = db.Sites(ctx); err != nil {
			return nil, err
		}
	}
	for _, find := range []func(context.Context, string, uuid.UUID) (ledger.Record, error){db.Find, db.FindKey} {
		for _, s := range sites {
			r, err := find(ctx, s, id)
			switch {
			case err == nil:
				found = append(found, r)
			case !errors.Is(err, fs.ErrNotExist):
				return nil, err
			}
		}
		if len(found) > 0 {
			return found, nil
		}
	}
	return nil, nil
}

// gatherRecord reads what belongs to a record, and says which records of the visitor it read, by their numbers.
func gatherRecord(ctx context.Context, db *ledger.Ledger, r *ledger.Record, now time.Time) (*shownRecord, []int64, error) {
	s := &shownRecord{Record: exported(r), Key: r.Key.String(), Policies: []shownPolicy{}, Vendors: []string{}}
	n, err := db.Notice(ctx, r.Site, r.Notice)
	switch {
	case err == nil:
		s.Notice = &shownNotice{n.Hash, n.Language, n.Regime, n.Policy, n.Time, n.Text}
		if !json.Valid(n.Text) {
			return nil, nil, fmt.Errorf("the words %s of %s are damaged: restore them from a backup", n.Hash, r.Site)
		}
	case !errors.Is(err, fs.ErrNotExist):
		return nil, nil, err
	}
	policies, err := db.Policies(ctx, r.Site)
	if err != nil {
		return nil, nil, err
	}
	for _, p := range policies {
		if p.Version == r.Policy {
			s.Policies = append(s.Policies, shownPolicy{p.Version, p.Hash, p.Since, p.Material, p.Controller})
		}
	}
	lists, err := db.Lists(ctx, r.Site)
	if err != nil {
		return nil, nil, err
	}
	if list := lists[r.List]; list != nil {
		s.Vendors = list
	}
	history, err := db.History(ctx, r.Site, r.Subject)
	if err != nil {
		return nil, nil, err
	}
	leaves := make([]int64, 0, len(history))
	for i := range history {
		h, state := &history[i], rights.State(&history[i], i == 0, now)
		leaves = append(leaves, h.Leaf)
		s.Chain = append(s.Chain, chainedRecord{h.ID.String(), h.Time, string(h.Action), h.Granted, h.Denied, state})
		if h.ID == r.ID {
			s.State = state
		}
	}
	if s.State == "" {
		return nil, nil, fmt.Errorf("record %s was erased just now", r.ID)
	}
	slices.Reverse(s.Chain)
	slices.Sort(leaves)
	return s, leaves, nil
}
