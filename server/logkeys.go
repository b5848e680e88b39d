package server

import (
	"net/http"

	"github.com/labstack/echo/v4"
)

// publicKeys answers GET /stile/log/keys: what receipts and checkpoints of the log are verified by, retired keys included.
// It is the same for everyone, and asked for anew each time, since a new key signs at once.
func (s *Server) publicKeys(c echo.Context) error {
	h := c.Response().Header()
	h.Set("Cache-Control", "no-cache")
	h.Set("Access-Control-Allow-Origin", "*")
	h["X-Content-Type-Options"] = noSniff
	return c.String(http.StatusOK, s.current.Load().keys.Publish())
}
