package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/google/uuid"

	"github.com/stilehq/stile/server/ledger"
	"github.com/stilehq/stile/server/outbox"
	"github.com/stilehq/stile/server/rights"
)

// oneVisitor is the visitor whom a command is about, and who gives it.
type oneVisitor struct {
	ID   string `arg:"" name:"receipt" help:"The visitor's receipt, or the id that the page sent with their choice."`
	Site string `required:"" help:"Name of the site."`
	By   string `env:"STILE_OPERATOR" placeholder:"NAME" help:"Who does it, for the audit trail."`
	ledgerFlags
}

func (v *oneVisitor) check() error {
	if _, err := rights.ParseReceipt(v.ID); err != nil {
		return fmt.Errorf("receipt is %.80q: it is the id of a consent record, a UUID", v.ID)
	}
	return checkOperator(v.By)
}

// checkOperator refuses a name that the audit trail would refuse, before anything is done.
func checkOperator(name string) error {
	if !utf8.ValidString(name) || strings.ContainsFunc(name, unicode.IsControl) || utf8.RuneCountInString(name) > 90 {
		return fmt.Errorf("the operator (--by, STILE_OPERATOR) is %.100q: that is a name in one line, of at most 90 characters", name)
	}
	return nil
}

// find returns the records of the visitor, the one in force first, or fs.ErrNotExist.
func (v *oneVisitor) find(ctx context.Context, db *ledger.Ledger) (history []ledger.Record, err error) {
	_, history, err = rights.Find(ctx, db, v.Site, uuid.MustParse(v.ID))
	return history, err
}

func (v *oneVisitor) unknown(std streams) error {
	fmt.Fprintf(std.err, "stile: site %s has no record of %s: nothing was changed\n", v.Site, v.ID)
	return errFound
}

// looked notes that the operator is told of a visitor's records, before they are.
func (v *oneVisitor) looked(ctx context.Context, db *ledger.Ledger, history []ledger.Record, why string) error {
	leaves := make([]int64, 0, len(history))
	for i := range history {
		leaves = append(leaves, history[i].Leaf)
	}
	what := ledger.Audit{Act: ledger.ActShow, Site: v.Site, Leaves: ledger.LeavesOf(leaves...), Count: len(history), Detail: why}
	return operator{v.By}.audited(ctx, db, what)
}

// drop drops what waits to be sent on the visitor's consent.
func (v *oneVisitor) drop(ctx context.Context, site string, subject uuid.UUID) (int, error) {
	return outbox.Drop(ctx, filepath.Join(v.Data, "outbox.db"), site, subject)
}

type eraseRecords struct {
	oneVisitor
	Request string `placeholder:"NUMBER" help:"The visitor's request that this answers: 7KQ4-M2XD. It is marked as answered."`
	Yes     bool   `help:"Do not ask."`
}

// Help says what an erasure is.
func (c *eraseRecords) Help() string {
	return "It may be done while stile serve runs. What waits to be sent to vendors for the visitor is dropped as well, and nothing " +
		"of them is left in the database's files; only the numbers of the erased records go to the audit trail. Copies that you made " +
		"yourself (stile backup, exports) are yours to erase; an export that waits in the dashboard is deleted a day after it was made.\n\n" +
		"The choice itself is in the visitor's own browser, where it holds until it runs out or they change it: their page says that " +
		"nothing is recorded of it, and events and mails that need a record are no longer sent."
}

// Validate refuses what cannot be a receipt, and to go on unasked.
func (c *eraseRecords) Validate() error {
	if err := c.check(); err != nil {
		return err
	}
	if !c.Yes && !onTerminal(os.Stdin) {
		return errors.New("nobody can be asked here: add --yes to erase the records for good")
	}
	return nil
}

// Run erases the records of a visitor.
func (c *eraseRecords) Run(ctx context.Context, std streams) (err error) {
	db, err := c.open(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	history, err := c.find(ctx, db)
	if errors.Is(err, fs.ErrNotExist) {
		return c.unknown(std)
	}
	if err != nil {
		return err
	}
	by := ledger.By{Actor: ledger.Operator(c.By), Time: time.Now()}
	if c.Request = rights.ParseNumber(c.Request); c.Request != "" {
		if err := openRequest(ctx, db, c.Request, c.Site); err != nil {
			return err
		}
		by.Detail = "request " + c.Request
	}
	if !c.Yes {
		if err := c.looked(ctx, db, history, "before erase"); err != nil {
			return err
		}
		if !confirmed(os.Stdin, std.err, fmt.Sprintf("Erase %s of %s for good, the last of %s?", rights.Counted(len(history), "record"), c.Site, history[0].Time.Format(time.DateTime))) {
			return errors.New("nothing was erased: type yes to erase, or add --yes where nobody can")
		}
	}
	return c.erase(ctx, std, db, history[0].Subject, by)
}

func (c *eraseRecords) erase(ctx context.Context, std streams, db *ledger.Ledger, subject uuid.UUID, by ledger.By) error {
	done, err := rights.Erase(ctx, db, c.drop, c.Site, subject, by)
	if done.Records == 0 {
		if err == nil {
			return c.unknown(std) // the visitor was faster
		}
		return err
	}
	fmt.Fprintf(std.out, "erased %s of %s\n", rights.Counted(done.Records, "record"), c.Site)
	if done.Dropped > 0 {
		fmt.Fprintf(std.out, "dropped %s that waited to be sent\n", rights.Counted(done.Dropped, "message"))
	}
	if c.Request != "" {
		if _, failed := db.Answer(ctx, c.Request, rights.Answered(done.Records), ledger.By{Actor: by.Actor, Time: by.Time}); failed != nil {
			return errors.Join(err, failed)
		}
		fmt.Fprintf(std.out, "request %s is answered\n", c.Request)
	}
	return err
}

// openRequest checks that a request is one of the site's that waits for an answer.
func openRequest(ctx context.Context, db *ledger.Ledger, number, site string) error {
	r, err := db.Request(ctx, number)
	switch {
	case errors.Is(err, fs.ErrNotExist) || err == nil && r.Site != site:
		return fmt.Errorf("site %s has no request %s: stile requests %s lists them; nothing was changed", site, number, site)
	case err != nil:
		return err
	case !r.Answered.IsZero():
		return fmt.Errorf("request %s was answered on %s: nothing was changed", number, r.Answered.Format(time.DateOnly))
	}
	return nil
}

// onTerminal tells whether somebody may be asked. /dev/null passes, and answers nothing.
func onTerminal(f *os.File) bool {
	info, err := f.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0
}

// confirmed asks a question, and takes "yes" for a yes.
func confirmed(in io.Reader, out io.Writer, question string) bool {
	fmt.Fprintf(out, "%s Type yes: ", question)
	answer, err := bufio.NewReader(in).ReadString('\n')
	return err == nil && strings.TrimSpace(answer) == "yes"
}
