// Package share gives out links to a site's figures that anybody may read who has one, an agency or the public. Noise hides
// each single event in them (see View), so that nothing in a link is personal data.
//
// The noise is a site's: all of its links of one epsilon show the same, and whoever has two of them learns no more. What is
// left of a link that is over is the noise that it showed, for the next one.
package share

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"database/sql"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"io/fs"
	"math"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/stilehq/stile/server/ledger"
	"github.com/stilehq/stile/server/noise"
)

// Link is a link to a site's figures.
type Link struct {
	ID      [32]byte // SHA-256 of its token, which is not kept
	Site    string
	Label   string // who it is for
	Millis  int    // epsilon in thousandths
	Created time.Time
	Expires time.Time

	seed noise.Seed
}

// Name tells a link from others, in the audit trail too: 8 hexadecimal digits that are no part of its address.
func (l Link) Name() string { return hex.EncodeToString(l.ID[:4]) }

// Epsilon is how much one event may change what the link shows, see noise.
func (l Link) Epsilon() float64 { return float64(l.Millis) / 1000 }

// What a link may be.
const (
	MostLinks = 5    // of a site, at a time
	MostDays  = 365  // until it expires
	Least     = 100  // thousandths of epsilon, in steps of so many
	Most      = 2000 // thousandths of epsilon
	MostSpent = 4000 // thousandths of the sum of all epsilons that a site ever had
	labelMost = 60   // characters
)

// Refused is why a link is not made, in a sentence for who asks for it.
type Refused string

func (r Refused) Error() string { return string(r) }

// Wish is a link that somebody wants made.
type Wish struct {
	Site    string
	Label   string
	Epsilon float64 // from 0.1 to 2, in steps of 0.1
	Days    int     // from 1 to MostDays
}

func (w *Wish) check() (millis int, err error) {
	w.Label = strings.TrimSpace(w.Label)
	millis = int(math.Round(min(w.Epsilon, 10) * 1000))
	switch n := utf8.RuneCountInString(w.Label); {
	case n == 0 || n > labelMost || !utf8.ValidString(w.Label) || strings.ContainsFunc(w.Label, unicode.IsControl):
		return 0, Refused(fmt.Sprintf("say who the link is for, in 1 to %d characters", labelMost))
	case math.IsNaN(w.Epsilon) || millis < Least || millis > Most || millis%Least != 0:
		return 0, Refused("epsilon is a number from 0.1 to 2, in steps of 0.1")
	case w.Days < 1 || w.Days > MostDays:
		return 0, Refused(fmt.Sprintf("a link is open for 1 to %d days", MostDays))
	}
	return millis, nil
}

// Links are those that the shares table of a ledger has.
type Links struct{ Ledger *ledger.Ledger }

const (
	columns = `id, site, label, epsilon, seed, created, expires`

	linksSQL  = `SELECT ` + columns + ` FROM shares WHERE site = $1 ORDER BY created, id`
	insertSQL = `INSERT INTO shares (` + columns + `) VALUES ($1, $2, $3, $4, $5, $6, $7)`
	closeSQL  = `UPDATE shares SET expires = $1 WHERE id = $2 AND site = $3 AND expires > $1`

	// Of those that are over the first of each epsilon stays: it says what was spent, and has the seed.
	tidySQL = `DELETE FROM shares WHERE site = $1 AND expires <= $2 AND EXISTS (SELECT 1 FROM shares AS o WHERE o.site = shares.site
		AND o.epsilon = shares.epsilon AND (o.created < shares.created OR o.created = shares.created AND o.id < shares.id))`

	siteSQL = `SELECT site FROM shares WHERE id = $1 AND expires > $2`
)

// Shelf is all links that a site ever had, as far as they matter.
type Shelf struct {
	Live   []Link // oldest first
	Millis int    // thousandths of epsilon that were spent: those of each epsilon once

	seed noise.Seed
	had  map[int]bool // thousandths of epsilon
}

// Site returns the links of a site.
func (s Links) Site(ctx context.Context, site string, now time.Time) (Shelf, error) {
	shelf := Shelf{had: map[int]bool{}}
	err := s.Ledger.Each(ctx, func(rows *sql.Rows) error { return shelf.add(rows, now) }, linksSQL, site)
	if err != nil {
		return Shelf{}, fmt.Errorf("reading the links of %s: %w", site, err)
	}
	return shelf, nil
}

// within is Site in a transaction.
func within(ctx context.Context, tx *sql.Tx, site string, now time.Time) (Shelf, error) {
	shelf := Shelf{had: map[int]bool{}}
	rows, err := tx.QueryContext(ctx, linksSQL, site)
	if err != nil {
		return shelf, err
	}
	defer rows.Close()
	for rows.Next() {
		if err := shelf.add(rows, now); err != nil {
			return shelf, err
		}
	}
	return shelf, rows.Err()
}

// add puts the next link on a shelf.
func (s *Shelf) add(rows *sql.Rows, now time.Time) error {
	l, err := scan(rows)
	if err != nil {
		return err
	}
	if len(s.had) == 0 { // for all: two that were made at the same moment once had seeds of their own
		s.seed = l.seed
	}
	l.seed = s.seed
	if !s.had[l.Millis] {
		s.had[l.Millis] = true
		s.Millis += l.Millis
	}
	if l.Expires.After(now) {
		s.Live = append(s.Live, l)
	}
	return nil
}

// room refuses a link that there is no room for.
func (s *Shelf) room(millis int) error {
	if len(s.Live) >= MostLinks {
		return Refused(fmt.Sprintf("a site has at most %d links at a time: revoke one first", MostLinks))
	}
	if !s.had[millis] && s.Millis+millis > MostSpent {
		return Refused(fmt.Sprintf("this site's links have used up %s of epsilon, and may use %s: choose one that it had before",
			Amount(s.Millis), Amount(MostSpent)))
	}
	return nil
}

func scan(rows *sql.Rows) (l Link, err error) {
	var (
		id, seed        []byte
		epsilon         float64
		created, expiry int64
	)
	if err := rows.Scan(&id, &l.Site, &l.Label, &epsilon, &seed, &created, &expiry); err != nil {
		return l, err
	}
	if len(id) != len(l.ID) || len(seed) != len(l.seed) {
		return l, fmt.Errorf("link %x is damaged: revoke it, and make another", id)
	}
	l.ID, l.seed = [32]byte(id), noise.Seed(seed)
	l.Millis = int(math.Round(epsilon * 1000))
	l.Created, l.Expires = time.UnixMilli(created).UTC(), time.UnixMilli(expiry).UTC()
	return l, nil
}

// Make makes a link, and returns the token of its address, which nobody can be told again. What cannot be is Refused.
func (s Links) Make(ctx context.Context, w Wish, actor string, now time.Time) (token string, l Link, err error) {
	millis, err := w.check()
	if err != nil {
		return "", l, err
	}
	var secret [24]byte
	_, _ = rand.Read(secret[:]) // it never fails
	token = base64.RawURLEncoding.EncodeToString(secret[:])
	l = Link{
		ID: sha256.Sum256([]byte(token)), Site: w.Site, Label: w.Label, Millis: millis,
		Created: now.UTC(), Expires: now.UTC().AddDate(0, 0, w.Days),
	}
	_, _ = rand.Read(l.seed[:]) // it never fails
	detail := fmt.Sprintf("link %s, epsilon %s, until %s", l.Name(), Amount(millis), l.Expires.Format(time.DateOnly))
	err = s.Ledger.WriteNoted(ctx, noteOf(ledger.ActShare, l, actor, detail, now), func(tx *sql.Tx) error {
		shelf, err := within(ctx, tx, l.Site, now) // here, where nobody else makes one meanwhile
		if err != nil {
			return err
		}
		if err := shelf.room(millis); err != nil {
			return err
		}
		if len(shelf.had) > 0 {
			l.seed = shelf.seed
		}
		if _, err := tx.ExecContext(ctx, tidySQL, l.Site, now.UnixMilli()); err != nil {
			return err
		}
		_, err = tx.ExecContext(ctx, insertSQL, l.ID[:], l.Site, l.Label, l.Epsilon(), l.seed[:], l.Created.UnixMilli(), l.Expires.UnixMilli())
		return err
	})
	if err != nil {
		return "", Link{}, fmt.Errorf("keeping a link to %s: %w", l.Site, err)
	}
	return token, l, nil
}

// Revoke ends a link, or gives fs.ErrNotExist where the site has none of this name that is open.
func (s Links) Revoke(ctx context.Context, site, name, actor string, now time.Time) (Link, error) {
	shelf, err := s.Site(ctx, site, now)
	if err != nil {
		return Link{}, err
	}
	for _, l := range shelf.Live {
		if l.Name() != name {
			continue
		}
		err := s.Ledger.WriteNoted(ctx, noteOf(ledger.ActRevoke, l, actor, "link "+l.Name(), now), func(tx *sql.Tx) error {
			_, err := tx.ExecContext(ctx, closeSQL, now.UnixMilli(), l.ID[:], site)
			return err
		})
		if err != nil {
			return Link{}, fmt.Errorf("revoking a link to %s: %w", site, err)
		}
		return l, nil
	}
	return Link{}, fs.ErrNotExist
}

func noteOf(act ledger.Act, l Link, actor, detail string, now time.Time) ledger.Audit {
	return ledger.Audit{Time: now.UTC(), Actor: actor, Act: act, Site: l.Site, Count: 1, Detail: detail}
}

// Open finds the link of a token, and all others of its site. There is no difference between one that never was, that is
// over and that was revoked: fs.ErrNotExist.
func (s Links) Open(ctx context.Context, token string, now time.Time) (Link, Shelf, error) {
	id := sha256.Sum256([]byte(token))
	site := ""
	err := s.Ledger.Each(ctx, func(rows *sql.Rows) error { return rows.Scan(&site) }, siteSQL, id[:], now.UnixMilli())
	if err != nil {
		return Link{}, Shelf{}, fmt.Errorf("looking for a link: %w", err)
	}
	if site == "" {
		return Link{}, Shelf{}, fs.ErrNotExist
	}
	shelf, err := s.Site(ctx, site, now)
	if err != nil {
		return Link{}, Shelf{}, err
	}
	for _, l := range shelf.Live {
		if l.ID == id {
			return l, shelf, nil
		}
	}
	return Link{}, Shelf{}, fs.ErrNotExist
}

// Amount writes thousandths for people: 1500 as "1.5".
func Amount(millis int) string {
	return strings.TrimSuffix(strings.TrimRight(fmt.Sprintf("%.3f", float64(millis)/1000), "0"), ".")
}
