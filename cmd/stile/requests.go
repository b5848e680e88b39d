package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"text/tabwriter"
	"time"

	"github.com/stilehq/stile/server/ledger"
	"github.com/stilehq/stile/server/rights"
)

type requestsCommand struct {
	List   listRequests  `cmd:"" default:"withargs" help:"Print them; those that wait for an answer first."`
	Answer answerRequest `cmd:"" help:"Mark a request as answered."`
}

type listRequests struct {
	Site string `arg:"" help:"Name of the site."`
	ledgerFlags
	operator
	All   bool `help:"Print those that were answered too."`
	Check bool `help:"Exit with 1 when one is overdue."`
	JSON  bool `name:"json" help:"Print JSON."`
}

// visitorRequest is a request as it is printed.
type visitorRequest struct {
	Number   string     `json:"number"`
	State    string     `json:"state"` // open, overdue or answered
	Due      time.Time  `json:"due"`
	Days     int        `json:"days"` // left until then, negative when overdue; 0 when answered
	Overdue  bool       `json:"overdue"`
	Kind     string     `json:"kind"`
	Contact  string     `json:"contact"`
	Details  string     `json:"details"`
	Receipt  string     `json:"receipt"` // zeros where there was no choice, or it was erased since
	Time     time.Time  `json:"time"`
	Answered *time.Time `json:"answered,omitempty"`
	Note     string     `json:"note,omitempty"`
}

// Run prints what visitors asked for, the request that is due first before the others (F7).
func (c *listRequests) Run(ctx context.Context, std streams) (err error) {
	db, err := c.open(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	found, err := db.Requests(ctx, c.Site)
	if err != nil {
		return err
	}
	list, overdue := []visitorRequest{}, false
	for i := range found {
		r := printed(&found[i], time.Now())
		overdue = overdue || r.Overdue
		if c.All || r.Answered == nil {
			list = append(list, r)
		}
	}
	if len(list) > 0 { // they say who asked: noted before it is seen, as the dashboard does
		what := ledger.Audit{Act: ledger.ActShow, Site: c.Site, Count: len(list), Detail: "requests"}
		if err := c.audited(ctx, db, what); err != nil {
			return err
		}
	}
	if err := c.print(std, list); err != nil {
		return err
	}
	if c.Check && overdue {
		return errFound
	}
	return nil
}

// printed is a request as it stands at a moment. The day on which it is due is still in time.
func printed(r *ledger.Request, now time.Time) visitorRequest {
	p := visitorRequest{
		Number: r.Number, State: "open", Due: r.Due, Kind: r.Kind, Contact: r.Contact, Details: r.Details, Receipt: r.Receipt.String(), Time: r.Time, Note: r.Note,
	}
	switch p.Days = rights.DaysLeft(r, now); {
	case !r.Answered.IsZero():
		p.State, p.Days, p.Answered = "answered", 0, &r.Answered
	case p.Days < 0:
		p.State, p.Overdue = "overdue", true
	}
	return p
}

func (c *listRequests) print(std streams, list []visitorRequest) error {
	if c.JSON {
		return printJSON(std.out, list)
	}
	t := tabwriter.NewWriter(std.out, 0, 8, 2, ' ', 0)
	fmt.Fprintln(t, "NUMBER\tSTATE\tDUE\tKIND\tCONTACT\tDETAILS")
	for i := range list {
		r := &list[i]
		state := r.State
		switch {
		case r.Answered != nil:
			state += " " + r.Answered.Format(time.DateOnly)
			if r.Note != "" {
				state += fmt.Sprintf(" %q", r.Note)
			}
		case r.Overdue:
			state += " for " + rights.Counted(-r.Days, "day")
		default:
			state += ", " + rights.Counted(r.Days, "day") + " left"
		}
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%s\t%q\n", r.Number, state, r.Due.Format(time.DateOnly), r.Kind, r.Contact, r.Details)
	}
	return t.Flush()
}

type answerRequest struct {
	Number string `arg:"" help:"Number of the request: 7KQ4-M2XD."`
	Note   string `help:"What was answered, and how; kept with the request, for proof."`
	By     string `env:"STILE_OPERATOR" placeholder:"NAME" help:"Who answered, for the audit trail."`
	ledgerFlags
}

// Validate refuses a name that is none.
func (c *answerRequest) Validate() error { return checkOperator(c.By) }

// Run marks a request as answered.
func (c *answerRequest) Run(ctx context.Context, std streams) (err error) {
	db, err := c.open(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	number := rights.ParseNumber(c.Number)
	r, err := db.Answer(ctx, number, c.Note, ledger.By{Actor: ledger.Operator(c.By), Time: time.Now()})
	switch {
	case errors.Is(err, fs.ErrNotExist):
		fmt.Fprintf(std.err, "stile: there is no request %q: stile requests SITE lists them\n", c.Number)
		return errFound
	case errors.Is(err, ledger.ErrAnswered):
		fmt.Fprintf(std.err, "stile: request %s was answered before: nothing was changed\n", number)
		return errFound
	case err != nil:
		return err
	}
	fmt.Fprintf(std.out, "request %s to %s is answered\n", r.Number, r.Site)
	return nil
}
