package shop

import (
	"bytes"
	"io/fs"
	"os"
	"strings"
	"testing"

	"github.com/goccy/go-yaml"
)

type stileYAML struct {
	Origins      []string
	CookieDomain string `yaml:"cookie_domain"`
	Policy       struct{ Version, File string }
	Tags         []struct{ Name, Script, Pixel, Inline string }
}

func parse(t *testing.T, text []byte) (c stileYAML) {
	t.Helper()
	if err := yaml.Unmarshal(text, &c); err != nil {
		t.Fatal(err)
	}
	return c
}

func TestConfigAsWritten(t *testing.T) {
	want, err := os.ReadFile("stile.yaml")
	if err != nil {
		t.Fatal(err)
	}
	if got := Config(Hosts{}); !bytes.Equal(got, want) {
		t.Error("without hosts, Config is not the file as it stands")
	}
	c := parse(t, want)
	if c.CookieDomain != "shop.example" {
		t.Errorf("cookie domain %q", c.CookieDomain)
	}
	if _, err := fs.Stat(Files(), c.Policy.File); err != nil {
		t.Errorf("the policy's file: %v", err)
	}
	if !strings.Contains(c.Policy.File, c.Policy.Version) {
		t.Errorf("version %q is in file %q", c.Policy.Version, c.Policy.File)
	}
}

func TestConfigMoved(t *testing.T) {
	text := Config(Hosts{
		Shop:    "http://127.0.0.1:1",
		Counter: "http://127.0.0.1:2/",
		PixelA:  "http://127.0.0.1:3",
		PixelB:  "http://127.0.0.1:4",
		Chat:    "http://127.0.0.1:5",
	})
	c := parse(t, text)
	if len(c.Origins) != 1 || c.Origins[0] != "http://127.0.0.1:1" || c.CookieDomain != "" {
		t.Errorf("origins %q, cookie domain %q", c.Origins, c.CookieDomain)
	}
	want := []string{
		"http://127.0.0.1:2/counter.js?id=HC-1001", "http://127.0.0.1:3/p.gif?u={page}", "http://127.0.0.1:4/p.gif?u={page}",
		"http://127.0.0.1:5/widget.js", "window.loyalty=1",
	}
	for i, tag := range c.Tags {
		if got := tag.Script + tag.Pixel + tag.Inline; got != want[i] {
			t.Errorf("%s loads %q, want %q", tag.Name, got, want[i])
		}
	}
	if strings.Contains(string(text), "https://") {
		t.Errorf("a real host is left:\n%s", text)
	}
}
