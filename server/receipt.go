package server

import (
	"context"
	"errors"
	"io/fs"
	"net/http"
	"slices"
	"time"

	"github.com/labstack/echo/v4"

	"github.com/stilehq/stile/banner"
	"github.com/stilehq/stile/server/consent"
	"github.com/stilehq/stile/server/ledger"
	"github.com/stilehq/stile/server/receipt"
)

// choiceBrief is what a page shows of the visitor's choice. A visitor without records gets it as their receipt, too.
type choiceBrief struct {
	Site    string   `json:"site"`
	Receipt string   `json:"receipt"` // of the choice in force, "" without one
	Time    string   `json:"time,omitempty"`
	New     []string `json:"new"` // titles of what came after the choice
}

// receipt answers GET /stile/{site}/receipt: the visitor's own records, for nothing but their cookie (C10), as a page or as
// a signed document (C7).
func (s *Server) receipt(c echo.Context) error {
	snap, st, err := s.site(c.Param("site"), true)
	if err != nil {
		return err
	}
	r := c.Request()
	st.allowOrigin(r, c.Response().Header())
	v := s.visit(r, st, snap.codec, readQuery(r))
	var records []ledger.Record
	if v.Choice != nil && c.QueryParam("brief") == "" {
		if records, err = s.own(c, st, v.Choice); err != nil {
			return err
		}
	}
	if wantsHTML(r) && c.QueryParam("download") == "" {
		p, err := s.newPage(c, st, v)
		if err != nil {
			return err
		}
		return s.page(c, banner.Records(p, shown(records)))
	}
	h := c.Response().Header()
	h["Cache-Control"] = neverKept
	h["Vary"] = varies
	h["X-Content-Type-Options"] = noSniff
	if c.QueryParam("download") != "" {
		h.Set(echo.HeaderContentDisposition, `attachment; filename="consent-`+st.Name+`.json"`)
	}
	if len(records) == 0 {
		return s.brief(c, st, v)
	}
	doc, err := s.sign(r.Context(), snap, st, origin(r), records)
	if err != nil {
		return err
	}
	return c.Blob(http.StatusOK, echo.MIMEApplicationJSON, doc)
}

func (s *Server) brief(c echo.Context, st *site, v consent.Visit) error {
	d := consent.Decide(st.Site, v)
	view, err := st.gate.View(&d, st.language(c.QueryParam("lang"), c.Request().Header.Get("Accept-Language")))
	if err != nil {
		return err
	}
	answer := choiceBrief{Site: st.Name, New: view.Titles(d.New)}
	if v.Choice != nil {
		answer.Receipt, answer.Time = v.Choice.Receipt.String(), v.Choice.Time.Format(time.RFC3339)
	}
	return c.JSONPretty(http.StatusOK, answer, "  ")
}

// sign makes the receipt of a visitor's records, newest first.
func (s *Server) sign(ctx context.Context, snap *snapshot, st *site, address string, records []ledger.Record) ([]byte, error) {
	if slices.ContainsFunc(records, func(r ledger.Record) bool { return r.Leaf < 0 }) {
		return nil, &fault{
			status: http.StatusServiceUnavailable, retry: 10,
			what: "the choice is stored, and a receipt of it can be signed once the database is back: try again",
		}
	}
	doc := receipt.Receipt{
		Site: st.Name, Address: address, Subject: records[0].Subject, Made: s.now().UTC().Truncate(time.Second),
		Words: map[string][]byte{}, Lists: map[string][]string{},
	}
	lists, err := s.ledger.Lists(ctx, st.Name)
	if err != nil {
		return nil, err
	}
	leaves := make([]int64, len(records))
	for i := range records {
		leaves[i] = records[i].Leaf
		if err := s.keepWords(ctx, st, records[i].Notice, doc.Words); err != nil {
			return nil, err
		}
		if entries, known := lists[records[i].List]; known {
			doc.Lists[records[i].List] = entries
		}
	}
	proofs, checkpoint, err := s.ledger.Prove(ctx, leaves...)
	if err != nil {
		return nil, err
	}
	doc.Checkpoint = checkpoint
	for i := range records {
		doc.Entries = append(doc.Entries, receipt.Entry{Record: records[i], Proof: proofs[i].Hashes})
	}
	return receipt.Make(doc, snap.keys.Receipt[0].NoteSigner())
}

// keepWords adds the words of a hash, where they are known: a record may come from a site that showed none.
func (s *Server) keepWords(ctx context.Context, st *site, hash string, words map[string][]byte) error {
	if words[hash] != nil {
		return nil
	}
	n, err := s.ledger.Notice(ctx, st.Name, hash)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	words[hash] = n.Text
	return err
}

// origin is the address at which the visitor sees this host.
func origin(r *http.Request) string {
	if secure(r) {
		return "https://" + r.Host
	}
	return "http://" + r.Host
}
