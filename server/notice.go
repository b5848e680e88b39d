package server

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net/http"

	"github.com/labstack/echo/v4"

	"github.com/stilehq/stile/banner"
)

var unchanging = []string{"public, max-age=31536000, immutable"}

// notice answers GET /stile/{site}/notice/{hash}: the exact words that visitors read, whose hash their records name (C6).
// They never change, and are the same for everybody. A browser gets them as a page, everybody else as they are stored, byte
// for byte: the hash is the first 16 bytes of their SHA-256.
func (s *Server) notice(c echo.Context) error {
	_, st, err := s.site(c.Param("site"), true)
	if err != nil {
		return err
	}
	hash := c.Param("hash")
	unknown := fail(http.StatusNotFound, "site %s never showed a notice %.40q: its hash stands in the records of those who read it", st.Name, hash)
	if _, shown := st.notices[hash]; !shown {
		return unknown
	}
	notice, err := s.ledger.Notice(c.Request().Context(), st.Name, hash)
	if errors.Is(err, fs.ErrNotExist) {
		return unknown
	}
	if err != nil {
		return err
	}
	h := c.Response().Header()
	h.Set("Vary", "Accept")
	h["Cache-Control"] = unchanging
	h.Set("Access-Control-Allow-Origin", "*")
	if !wantsHTML(c.Request()) {
		h["X-Content-Type-Options"] = noSniff
		return c.Blob(http.StatusOK, echo.MIMEApplicationJSON, notice.Text)
	}
	var text struct{ View banner.View }
	if err := json.Unmarshal(notice.Text, &text); err != nil || text.View.Words == nil {
		return fmt.Errorf("reading notice %s of %s: %w", hash, st.Name, errors.Join(err, errors.New("it has no words")))
	}
	text.View.Base = st.base()
	return s.pageWith(c, http.StatusOK, banner.NoticePage(text.View, notice.Policy, hash))
}
