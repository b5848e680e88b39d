package e2e

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	words "github.com/stilehq/stile/banner"
	"github.com/stilehq/stile/server/config"
	"github.com/stilehq/stile/server/vendors"
)

// TestReadmePictures makes the README's pictures: `make pictures`.
func TestReadmePictures(t *testing.T) {
	w := newWorld(t, settings{config: func(text string) string {
		return strings.Replace(sharedCookie(text), "languages: [en, de, zh-Hans, ar]", "languages: [en, de, zh-Hans, ar, ja]", 1)
	}})
	b := w.open()
	for _, shot := range []struct {
		name, lang, theme string
		width, height     int64
	}{{"banner-de-dark", "de", "dark", 1280, 720}, {"banner-ar", "ar", "light", 390, 844}, {"banner-ja-dark", "ja", "dark", 390, 844}} {
		b.look(shot.width, shot.height, shot.theme).visit(shopURL + "/?lang=" + shot.lang)
		eval[bool](b, fmt.Sprintf(`(async () => {
			document.documentElement.lang = %q
			document.documentElement.dir = document.documentElement.lang == 'ar' ? 'rtl' : ''
			await new Promise((done, fail) => { const s = document.createElement('script'); s.src = %q; s.onload = done; s.onerror = fail; document.head.append(s) })
			return true
		})()`, shot.lang, consentURL+"/stile/shop.js?s=&lang="+shot.lang))
		b.settle().picture(shot.name)
	}
	b.look(1280, 720, "light").visit(shopURL + "/")
	b.picture("banner")
	b.click(choose).click(dialog + " [value=analytics]").decide(dialogSave)
	b.visit(shopURL + "/product/kettle")
	w.received(map[string]int{"counter": 4})
	b.visit(shopURL + "/received")
	w.received(map[string]int{"counter": 6})
	eval[bool](b, `(async () => { while (document.querySelector('[data-party=counter] .party-count').textContent != '6') await new Promise(done => setTimeout(done, 10)); return true })()`)
	b.picture("demo")
}

// TestReadme runs what the README shows: its stile.yaml is read, its commands are run.
func TestReadme(t *testing.T) {
	readme, err := os.ReadFile("../README.md")
	if err != nil {
		t.Fatal(err)
	}
	folder := t.TempDir()
	library, err := vendors.New()
	if err != nil {
		t.Fatal(err)
	}
	yamls := blocks(string(readme), "yaml")
	if len(yamls) == 0 {
		t.Fatal("the README shows no stile.yaml")
	}
	for _, text := range yamls {
		_, report := config.Parse("README.md", []byte(text), config.Options{Vendors: library, Languages: words.Languages(), Dir: folder})
		if err := report.Err(); err != nil {
			t.Error(err)
		}
		if err := os.WriteFile(filepath.Join(folder, "stile.yaml"), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for _, text := range blocks(string(readme), "html") {
		if err := os.WriteFile(filepath.Join(folder, "index.html"), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	ran := 0
	for _, text := range blocks(string(readme), "sh") {
		for line := range strings.Lines(text) {
			line, _, _ = strings.Cut(strings.TrimSpace(line), "  #")
			args := strings.Fields(line)
			if len(args) == 0 || args[0] != "stile" || args[1] == "serve" || args[1] == "demo" {
				continue // make's targets are what calls this test, and servers do not end
			}
			ran++
			cmd := exec.Command(stileBinary, args[1:]...)
			cmd.Dir = folder
			if out, err := cmd.CombinedOutput(); err != nil {
				t.Errorf("%s: %v\n%s", line, err, out)
			}
		}
	}
	if ran < 3 {
		t.Errorf("only %d commands of the README were run", ran)
	}
	table, err := exec.Command(stileBinary, "vendors", "--table").Output()
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(readme), string(table)) {
		t.Errorf("the README's table of vendors is not what stile vendors --table prints:\n%s", table)
	}
	for _, link := range regexp.MustCompile(`\]\(([^)#:]+)\)`).FindAllStringSubmatch(string(readme), -1) {
		if _, err := os.Stat(filepath.Join("..", link[1])); err != nil {
			t.Errorf("the README links %s: %v", link[1], err)
		}
	}
}

func blocks(text, kind string) (list []string) {
	for _, m := range regexp.MustCompile("(?s)```"+kind+"\n(.*?)```").FindAllStringSubmatch(text, -1) {
		list = append(list, m[1])
	}
	return list
}
