package main

import (
	"bytes"
	"compress/gzip"
	"context"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strings"

	"github.com/google/uuid"

	"github.com/stilehq/stile/examples/shop"
	"github.com/stilehq/stile/server/cookie"
)

const (
	scriptPath = "/stile/shop.js"
	choicePath = "/stile/shop/choice"
)

// startStile serves the example shop, its configuration changed, with a data folder of its own.
func startStile(ctx context.Context, binary, folder string, changes ...func(string) string) (*process, error) {
	site := filepath.Join(folder, "site")
	if err := os.CopyFS(site, shop.Files()); err != nil {
		return nil, err
	}
	config := filepath.Join(site, "stile.yaml")
	for _, change := range changes {
		if err := rewrite(config, change); err != nil {
			return nil, err
		}
	}
	return start(ctx, "", binary, "serve", config, "--listen", "127.0.0.1:0", "--data", dataFolder(folder))
}

func dataFolder(folder string) string { return filepath.Join(folder, "data") }

var noticeInScript = regexp.MustCompile(`[{,]h:"([A-Za-z0-9_-]{22})"`)

// notice returns the hash of the words that a new visitor is shown: a choice must name it.
func notice(ctx context.Context, p *process) (string, error) {
	s, err := get(ctx, p.address+scriptPath, http.Header{"Accept-Encoding": {"gzip"}})
	if err != nil {
		return "", err
	}
	zr, err := gzip.NewReader(bytes.NewReader(s.Body))
	if err != nil {
		return "", fmt.Errorf("the script of %s (status %d): %w", p.address, s.Status, err)
	}
	script, err := io.ReadAll(zr)
	if err != nil {
		return "", err
	}
	m := noticeInScript.FindSubmatch(script)
	if m == nil {
		return "", fmt.Errorf("the script names no notice: %.200s", script)
	}
	return string(m[1]), nil
}

// choose posts a choice of a visitor of their own.
func choose(ctx context.Context, client *http.Client, p *process, notice, accept string) (sample, error) {
	form := url.Values{"id": {uuid.NewString()}, "notice": {notice}, "accept": {accept}, "surface": {"banner"}}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, p.address+choicePath, strings.NewReader(form.Encode()))
	if err != nil {
		return sample{}, err
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	req.Header.Set("Sec-Fetch-Site", "same-origin")
	s, err := do(client, req)
	if err == nil && s.Status != http.StatusOK {
		err = fmt.Errorf("a choice is answered by %d: %s", s.Status, s.Body)
	}
	return s, err
}

// signed returns the Cookie header of a visitor who accepted everything, or nothing.
func signed(ctx context.Context, p *process, accept string) (string, error) {
	words, err := notice(ctx, p)
	if err != nil {
		return "", err
	}
	s, err := choose(ctx, http.DefaultClient, p, words, accept)
	if err != nil {
		return "", err
	}
	var pairs []string
	for _, line := range s.Header["Set-Cookie"] {
		c, err := http.ParseSetCookie(line)
		if err != nil {
			return "", err
		}
		pairs = append(pairs, c.Name+"="+c.Value)
	}
	cookies := strings.Join(pairs, "; ")
	if !strings.Contains(cookies, cookie.Name("shop")+"=") {
		return "", fmt.Errorf("a choice sets no cookie: %q", s.Header["Set-Cookie"])
	}
	return cookies, nil
}
