package dashboard

import (
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"fmt"
	"io/fs"
	"net/http"
	"path"
	"slices"
	"strings"
)

//go:embed *.css dashboard.js
var files embed.FS

// assets are the dashboard's own files, each under an address that names its content, so that browsers may keep it for good.
type assets struct {
	paths    map[string]string // name to path
	contents map[string][]byte // name in the path to content
}

func loadAssets() (assets, error) {
	a := assets{paths: map[string]string{}, contents: map[string][]byte{}}
	style, err := styleSheet()
	if err != nil {
		return a, err
	}
	script, err := files.ReadFile("dashboard.js")
	if err != nil {
		return a, fmt.Errorf("reading dashboard.js: %w", err)
	}
	a.add("dashboard.css", style)
	a.add("dashboard.js", script)
	return a, nil
}

// styleSheet is what all pages share, and after it what each page adds.
func styleSheet() ([]byte, error) {
	const shared = "dashboard.css"
	names, err := fs.Glob(files, "*.css")
	if err != nil {
		return nil, fmt.Errorf("listing the style sheets: %w", err)
	}
	names = slices.DeleteFunc(names, func(name string) bool { return name == shared })
	var all []byte
	for _, name := range append([]string{shared}, names...) {
		content, err := files.ReadFile(name)
		if err != nil {
			return nil, fmt.Errorf("reading %s: %w", name, err)
		}
		all = append(all, content...)
	}
	return all, nil
}

func (a assets) add(name string, content []byte) {
	sum := sha256.Sum256(content)
	ext := path.Ext(name)
	hashed := strings.TrimSuffix(name, ext) + "." + hex.EncodeToString(sum[:6]) + ext
	a.paths[name], a.contents[hashed] = "/admin/assets/"+hashed, content
}

func (a assets) path(name string) string { return a.paths[name] }

// shared is the path of the style of pages that are published without the dashboard.
func (a assets) shared() string { return "/share/assets/" + path.Base(a.paths["dashboard.css"]) }

// asset answers GET /admin/assets/{name}: there is nothing in them that a visitor could not read in Stile's sources.
func (d *Dashboard) asset(w http.ResponseWriter, r *http.Request) {
	name := r.PathValue("name")
	content, found := d.assets.contents[name]
	if !found {
		http.Error(w, "there is no file "+name, http.StatusNotFound)
		return
	}
	kind := "text/css; charset=utf-8"
	if strings.HasSuffix(name, ".js") {
		kind = "text/javascript; charset=utf-8"
	}
	w.Header().Set("Content-Type", kind)
	w.Header().Set("Cache-Control", "public, max-age=31536000, immutable")
	_, _ = w.Write(content) // the connection is all that can fail
}
