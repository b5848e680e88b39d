package ledger

import (
	"bytes"
	"context"
	"database/sql"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"regexp"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/google/uuid"
)

// Audit is an entry of the audit trail: who looked at, exported, changed or erased which records, and when (C10). It is a
// leaf of the same log as the records are, so that it can neither be altered nor taken away without being found out; and a
// number that has no record is lawful only where an entry of erasure names it.
//
// It names records by their numbers in the log alone, so that nothing of a person is left in it once they are erased.
type Audit struct {
	Leaf   int64     // its own number; filled in when it is stored
	Salt   [16]byte  // as that of a record
	Time   time.Time // UTC
	Actor  string    // Visitor, Retention, or what Operator returns
	Act    Act
	Site   string // "" for all sites
	Leaves Leaves // of the records that it is about
	Count  int    // of the records, or of what Detail says
	Detail string // in few words; it names nobody
}

// Act is what was done.
type Act string

// The acts there are.
const (
	ActShow      Act = "show"
	ActExport    Act = "export"
	ActErase     Act = "erase"
	ActAnonymise Act = "anonymise" // erased, and counted in Past
	ActWithdraw  Act = "withdraw"  // by an operator for a visitor
	ActBackup    Act = "backup"
	ActRestore   Act = "restore"
	ActVerify    Act = "verify"
	ActAnswer    Act = "answer" // a visitor's request

	// Of who opens the dashboard.
	ActLogin  Act = "login"
	ActRefuse Act = "refuse" // log-ins, Count of them
	ActLogout Act = "logout"
	ActUser   Act = "user" // made, changed or removed

	ActShare  Act = "share"  // figures, by a link that was made
	ActRevoke Act = "revoke" // such a link
)

// Acts are all that there are.
func Acts() []Act {
	return []Act{ActShow, ActExport, ActErase, ActAnonymise, ActWithdraw, ActBackup, ActRestore, ActVerify, ActAnswer, ActLogin, ActRefuse, ActLogout, ActUser, ActShare, ActRevoke}
}

// Actors, beside operators.
const (
	Visitor   = "visitor"
	Retention = "retention"
	Somebody  = "somebody" // who did not show who they are, and was refused
)

// Operator is an operator as an actor; the name may be "".
func Operator(name string) string {
	if name == "" {
		return "operator"
	}
	return "operator:" + name
}

// By says who does something, and when; the entry of the audit trail is made from it.
type By struct {
	Actor  string
	Time   time.Time
	Detail string
}

var (
	actor = regexp.MustCompile(`^(visitor|retention|somebody|operator(:.{1,400})?)$`)

	// What may be a receipt, another id of a person, or an address.
	personal = regexp.MustCompile(`(?i)@|[0-9a-f]{8}-?([0-9a-f]{4}-?){3}[0-9a-f]{12}`)
)

// check refuses what is no entry, and what names somebody in an entry.
func (a *Audit) check() error {
	switch {
	case !actor.MatchString(a.Actor) || utf8.RuneCountInString(a.Actor) > 100:
		return fmt.Errorf("an entry of the audit trail has an actor: visitor, retention, somebody, operator or operator:NAME of at most 90 characters, not %.120q", a.Actor)
	case !slices.Contains(Acts(), a.Act):
		return fmt.Errorf("an entry of the audit trail has an act, and %q is none", a.Act)
	case a.Time.IsZero():
		return errors.New("an entry of the audit trail has a time")
	case a.Count < 0:
		return errors.New("an entry of the audit trail counts from 0 on")
	case len(a.Detail) > 200 || personal.MatchString(a.Detail):
		return errors.New("an entry of the audit trail has at most 200 bytes of detail, and names nobody: no id, no address")
	}
	for _, text := range []string{a.Actor, a.Site, a.Detail} {
		if !utf8.ValidString(text) || strings.ContainsFunc(text, unicode.IsControl) {
			return fmt.Errorf("%q in an entry of the audit trail is no line of text", text)
		}
	}
	if _, err := ParseLeaves(a.Leaves.String()); err != nil {
		return fmt.Errorf("an entry of the audit trail: %w", err)
	}
	return nil
}

// auditLeaf is what an entry's hash in the log is made of. What is said of leaf holds here too. No record's leaf has an
// "audit", so that neither is ever taken for the other.
type auditLeaf struct {
	Form  int       `json:"form"` // 1
	Audit auditText `json:"audit"`
}

type auditText struct {
	Salt   string `json:"salt"` // 32 hex digits
	Time   string `json:"time"` // RFC 3339 with three digits, UTC
	Actor  string `json:"actor"`
	Act    Act    `json:"act"`
	Site   string `json:"site"`
	Leaves string `json:"leaves"`
	Count  int    `json:"count"`
	Detail string `json:"detail"`
}

// AuditLeaf is the text that an entry's hash in the log is made of, as Leaf is a record's.
func AuditLeaf(a *Audit) []byte {
	text, err := json.Marshal(auditLeaf{1, auditText{
		hex.EncodeToString(a.Salt[:]), a.Time.UTC().Format(leafTime), a.Actor, a.Act, a.Site, a.Leaves.String(), a.Count, a.Detail,
	}})
	if err != nil {
		panic(err) // strings always marshal
	}
	return text
}

// ParseAuditLeaf reads what AuditLeaf wrote, and refuses any other text, that of a record's leaf too. The entry has no
// number of its own.
func ParseAuditLeaf(text []byte) (Audit, error) {
	a, err := parseAuditLeaf(text)
	if err != nil {
		return Audit{}, fmt.Errorf("reading a leaf of the audit trail: %w", err)
	}
	return a, nil
}

func parseAuditLeaf(text []byte) (a Audit, err error) {
	d := json.NewDecoder(bytes.NewReader(text))
	d.DisallowUnknownFields()
	var l auditLeaf
	if err := d.Decode(&l); err != nil {
		return a, err
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return a, errors.New("more follows it")
	}
	t := l.Audit
	a = Audit{Actor: t.Actor, Act: t.Act, Site: t.Site, Count: t.Count, Detail: t.Detail}
	if a.Time, err = time.Parse(leafTime, t.Time); err != nil {
		return a, err
	}
	if a.Leaves, err = ParseLeaves(t.Leaves); err != nil {
		return a, err
	}
	if _, err = hex.Decode(a.Salt[:], []byte(t.Salt[:min(len(t.Salt), 32)])); err != nil {
		return a, err
	}
	if !bytes.Equal(AuditLeaf(&a), text) {
		return a, errors.New("it is not written as Stile writes it")
	}
	return a, nil
}

// Note puts an entry into the audit trail, and returns it with its number once it is durable. Salt is minted where it is
// zero; Time is kept to the millisecond.
func (l *Ledger) Note(ctx context.Context, a Audit) (Audit, error) {
	err := a.check()
	if err == nil {
		err = l.transact(ctx, func(tx *sql.Tx) error {
			size, err := l.engine.lock(ctx, tx)
			if err != nil {
				return err
			}
			return enter(ctx, tx, size, &a)
		})
		l.noteGrowth()
	}
	if err != nil {
		return Audit{}, fmt.Errorf("writing to the audit trail: %w", l.engine.explain(err))
	}
	return a, nil
}

const enterSQL = `INSERT INTO audit (` + auditColumns + `) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)`

// enter makes an entry the log's next leaf. The log is locked, and has size leaves.
func enter(ctx context.Context, tx *sql.Tx, size int64, a *Audit) error {
	if err := a.check(); err != nil {
		return err
	}
	a.Leaf, a.Time = size, fromMilli(toMilli(a.Time))
	if a.Salt == [16]byte{} {
		a.Salt = uuid.Must(uuid.NewRandom()) // 122 random bits
	}
	_, err := tx.ExecContext(ctx, enterSQL, a.Leaf, a.Salt[:], toMilli(a.Time), a.Actor, string(a.Act), a.Site, a.Leaves.String(), a.Count, a.Detail)
	if err != nil {
		return err
	}
	_, err = tx.ExecContext(ctx, growSQL, size+1)
	return err
}

const auditColumns = `leaf, salt, time, actor, act, site, leaves, count, detail`

const trailSQL = `SELECT ` + auditColumns + ` FROM audit
	WHERE leaf > $1 AND ($2 = '' OR site = $2 OR site = '') ORDER BY leaf LIMIT $3`

// Trail returns entries of the audit trail that come after a number, at most so many, in their order: those of a site and
// those of all sites, or with "" every one. It begins after -1.
func (l *Ledger) Trail(ctx context.Context, site string, after int64, limit int) ([]Audit, error) {
	var all []Audit
	err := l.each(ctx, func(rows *sql.Rows) error {
		a, err := scanAudit(rows)
		all = append(all, a)
		return err
	}, trailSQL, after, site, limit)
	if err != nil {
		return nil, fmt.Errorf("reading the audit trail: %w", err)
	}
	return all, nil
}

func scanAudit(rows *sql.Rows) (a Audit, err error) {
	var (
		salt   []byte
		at     int64
		leaves string
	)
	if err := rows.Scan(&a.Leaf, &salt, &at, &a.Actor, &a.Act, &a.Site, &leaves, &a.Count, &a.Detail); err != nil {
		return a, err
	}
	copy(a.Salt[:], salt)
	a.Time = fromMilli(at)
	if a.Leaves, err = ParseLeaves(leaves); err != nil {
		return a, fmt.Errorf("entry %d: %w", a.Leaf, err)
	}
	return a, nil
}
