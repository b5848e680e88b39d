package main

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/stilehq/stile/server/vendors"
)

// manyTags is how many tags a site has that has many.
const manyTags = 40

// measureTags has a site with many tags take turns with the example shop, which has five, for who accepted all, who refused
// all, and whose copy is still good.
func measureTags(ctx context.Context, s settings, folder, binary string) error {
	if err := ensure(ctx, findWrk, "wrk"); err != nil {
		fmt.Printf("\n%d tags: not measured, since %v\n", manyTags, err)
		return nil
	}
	l := &load{settings: s, folder: folder}
	var servers []server
	cookies := map[string]map[string]string{}
	for _, site := range []struct {
		name string
		more bool
	}{{"many", true}, {"few", false}} {
		p, err := startShop(ctx, binary, filepath.Join(folder, site.name), site.more)
		if err != nil {
			return err
		}
		defer p.stop()
		servers = append(servers, server{name: site.name, process: p})
		cookies[site.name] = map[string]string{}
		for _, accept := range []string{"all", "none"} {
			if cookies[site.name][accept], err = signed(ctx, p, accept); err != nil {
				return err
			}
		}
	}
	for _, accept := range []string{"all", "none"} {
		header := func(s server) http.Header {
			return http.Header{"Accept-Encoding": {"br"}, "Sec-Fetch-Site": {"same-origin"}, "Cookie": {cookies[s.name][accept]}} // echo looks at none
		}
		turns := slices.Clone(servers)
		for i := range servers {
			got, err := settled(ctx, turns[i].address+scriptPath, header(turns[i]))
			if err != nil {
				return err
			}
			turns[i].etag = got.Header.Get("Etag")
			fmt.Printf("\n%s, accept=%s: %d bytes", turns[i].name, accept, len(got.Body))
			if i > 0 {
				continue
			}
			// A bare handler sends as many bytes as the site with many tags: what more bytes cost is not the gate's.
			echo, err := startEcho(ctx, filepath.Join(folder, "many"), got)
			if err != nil {
				return err
			}
			defer echo.stop()
			turns = append(turns, server{name: "echo", process: echo, etag: turns[0].etag})
		}
		fmt.Printf("\n\n%d tags and five, accept=%s: requests a second\n\n", manyTags, accept)
		if err := l.turns(ctx, turns, header); err != nil {
			return err
		}
		fmt.Printf("\nthe same, If-None-Match: 304 from each\n\n")
		if err := l.turns(ctx, turns, func(s server) http.Header { return conditional(header(s), s.etag) }); err != nil {
			return err
		}
	}
	return nil
}

// startShop serves the example shop, with known vendors' tags beside its own if there are to be more.
func startShop(ctx context.Context, binary, folder string, more bool) (*process, error) {
	library, err := vendors.New()
	if err != nil {
		return nil, err
	}
	return startStile(ctx, binary, folder, func(text string) string {
		if !more {
			return text
		}
		text = strings.TrimRight(text, "\n") + "\n"
		for _, v := range library.All() {
			if strings.Count(text, "\n  - ") < manyTags {
				text += vendorLine(v)
			}
		}
		return text
	})
}

// vendorLine is a tag as stile.yaml has it, with the vendor's own example of an account.
func vendorLine(v *vendors.Vendor) string {
	line := "  - {vendor: " + v.ID + ", category: marketing"
	if v.Account.Example != "" {
		line += fmt.Sprintf(", id: %q", v.Account.Example)
	}
	for _, o := range v.Options {
		line += fmt.Sprintf(", %s: %q", o.Name, o.Example)
	}
	return line + "}\n"
}

// rewrite changes a file.
func rewrite(path string, change func(string) string) error {
	text, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	return os.WriteFile(path, []byte(change(string(text))), 0o600)
}
