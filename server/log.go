package server

import (
	"context"
	"errors"
	"io/fs"
	"net/http"
	"strings"

	"github.com/labstack/echo/v4"
	"golang.org/x/mod/sumdb/tlog"

	"github.com/stilehq/stile/server/merkle"
)

// publicLog is what everybody may read of the log: hashes and signatures, nothing of a person.
type publicLog interface {
	// Checkpoint returns the newest signed checkpoint, as merkle.Checkpoint.Sign wrote it, whose tiles are all stored:
	// fs.ErrNotExist before the first.
	Checkpoint(ctx context.Context) ([]byte, error)
	merkle.Tiles
}

// publish makes the routes of a log for auditors, if there is one: a checkpoint and the tiles that it stands for, in the form
// of golang.org/x/mod/sumdb/tlog.
func publish(e *echo.Echo, log publicLog) {
	if log == nil {
		return
	}
	get := []string{http.MethodGet, http.MethodHead}
	e.Match(get, "/stile/log/checkpoint", func(c echo.Context) error { return showCheckpoint(c, log) }, openToAll)
	e.Match(get, "/stile/log/tile/*", func(c echo.Context) error { return showTile(c, log) }, openToAll)
}

var (
	everyOrigin = []string{"*"}
	forASecond  = []string{"public, max-age=1"}
	forever     = []string{"public, max-age=31536000, immutable"}
)

// openToAll lets any page's script read the answer, errors too: it is the same for everybody.
func openToAll(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) error {
		h := c.Response().Header()
		h["Access-Control-Allow-Origin"], h["X-Content-Type-Options"] = everyOrigin, noSniff
		return next(c)
	}
}

// showCheckpoint answers GET /stile/log/checkpoint: how large the log is and its root, signed.
func showCheckpoint(c echo.Context, log publicLog) error {
	msg, err := newestCheckpoint(c, log)
	if err != nil {
		return err
	}
	c.Response().Header()["Cache-Control"] = forASecond
	return c.Blob(http.StatusOK, echo.MIMETextPlainCharsetUTF8, msg)
}

func newestCheckpoint(c echo.Context, log publicLog) ([]byte, error) {
	msg, err := log.Checkpoint(c.Request().Context())
	if errors.Is(err, fs.ErrNotExist) {
		return nil, &fault{status: http.StatusServiceUnavailable, what: "no checkpoint of the log is signed yet: try again in a second", retry: 1}
	}
	return msg, err
}

// showTile answers GET /stile/log/tile/8/{level}/{number}[.p/{width}], where a number of more than three digits is written
// x001/234.
func showTile(c echo.Context, log publicLog) error {
	path := "tile/" + c.Param("*")
	if strings.HasPrefix(path, "tile/8/data/") {
		return fail(http.StatusNotFound, "the leaves are not published, since each is a person's: who has a receipt has its leaf and the proof of it")
	}
	t, err := tlog.ParseTilePath(path)
	if err != nil || t.H != merkle.Height {
		return fail(http.StatusNotFound, "there is no tile %q: they are tile/8/LEVEL/NUMBER, as tile/8/0/x001/234, and .p/WIDTH where one is not full", path)
	}
	msg, err := newestCheckpoint(c, log)
	if err != nil {
		return err
	}
	signed, err := merkle.Unverified(msg)
	if err != nil {
		return err
	}
	if !within(t, signed.Size) {
		return fail(http.StatusNotFound, "%s is beyond the log, which is signed up to size %d", path, signed.Size)
	}
	data, err := merkle.Read(c.Request().Context(), log, []tlog.Tile{t})
	if err != nil {
		return err
	}
	// What is not full does not change either, but nobody asks for it any more once the log has grown.
	kept := forEveryone
	if t.W == merkle.Width {
		kept = forever
	}
	c.Response().Header()["Cache-Control"] = kept
	return c.Blob(http.StatusOK, echo.MIMEOctetStream, data[0])
}

// within tells whether a log of a size has a tile, so that nothing is shown that is not signed.
func within(t tlog.Tile, size int64) bool {
	if t.L > merkle.MaxLevel { // it may be any number
		return false
	}
	hashes := size >> (merkle.Height * t.L)
	full := hashes >> merkle.Height
	return t.N < full || t.N == full && int64(t.W) <= hashes&(merkle.Width-1)
}
