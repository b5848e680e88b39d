package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"

	"github.com/labstack/echo/v4"
)

// repeated are the headers that the echo rival sends as Stile does.
var repeated = []string{"Content-Type", "Content-Encoding", "Content-Length", "Etag", "Vary", "Cache-Control"}

// startEcho starts this program again, as the echo rival.
func startEcho(ctx context.Context, folder string, s sample) (*process, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	text, err := json.Marshal(s)
	if err != nil {
		return nil, err
	}
	file := filepath.Join(folder, "sample.json")
	if err := os.WriteFile(file, text, 0o600); err != nil {
		return nil, err
	}
	return start(ctx, "", self, "-echo", file)
}

// serveEcho is the rival: echo without middleware, one route, and a handler that does nothing but write. The values of
// its headers are made once, so that it is as quick as echo can be.
func serveEcho(file string) error {
	text, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	var s sample
	if err := json.Unmarshal(text, &s); err != nil {
		return err
	}
	type pair struct {
		name   string
		values []string
	}
	var full, short []pair
	for _, name := range repeated {
		p := pair{name, s.Header[name]}
		full = append(full, p)
		if name == "Etag" || name == "Vary" || name == "Cache-Control" {
			short = append(short, p)
		}
	}
	etag := s.Header.Get("Etag")
	e := echo.New()
	e.HideBanner, e.HidePort = true, true
	e.GET("/stile/:site", func(c echo.Context) error {
		h := c.Response().Header()
		if c.Request().Header.Get("If-None-Match") == etag {
			for _, p := range short {
				h[p.name] = p.values
			}
			c.Response().WriteHeader(http.StatusNotModified)
			return nil
		}
		for _, p := range full {
			h[p.name] = p.values
		}
		c.Response().WriteHeader(http.StatusOK)
		_, err := c.Response().Write(s.Body)
		return err
	})
	var lc net.ListenConfig
	if e.Listener, err = lc.Listen(context.Background(), "tcp", "127.0.0.1:0"); err != nil {
		return err
	}
	go func() {
		_, _ = io.Copy(io.Discard, os.Stdin) // it ends when the program that started this one does
		_ = e.Close()
	}()
	fmt.Printf("address=http://%s\n", e.Listener.Addr())
	return e.Start("")
}
