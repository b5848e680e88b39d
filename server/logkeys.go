package server

import (
	"net/http"

	"github.com/labstack/echo/v4"
)

// publicKeys answers GET /stile/log/keys: what receipts and checkpoints of the log are verified by, retired keys included.
// It is the same for everyone, and asked for anew each time, since a new key signs at once.
func (s *Server) publicKeys(c echo.Context) error {
	c.Response().Header().Set("Cache-Control", "no-cache")
	return c.String(http.StatusOK, s.current.Load().keys.Publish())
}
