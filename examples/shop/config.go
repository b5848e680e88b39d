package shop

import (
	"embed"
	"io/fs"
	"strings"
)

var (
	//go:embed stile.yaml policy
	configFiles embed.FS
	//go:embed stile.yaml
	configText string
	//go:embed policy/2026-11-01.md
	policyText string
)

// Hosts are the base URLs, without a path, under which the shop and the third parties are served in place of those in
// stile.yaml: "http://127.0.0.1:8080". An empty one leaves what the file says.
type Hosts struct {
	Shop    string // for https://www.shop.example
	Counter string // for https://counter.example
	PixelA  string // for https://pixel-a.example
	PixelB  string // for https://pixel-b.example
	Chat    string // for https://chat.example
}

// Config returns stile.yaml with the hosts replaced. When the shop is moved, the line cookie_domain goes: a cookie for
// shop.example is none of another host's. The policy file that it names is in Files.
func Config(h Hosts) []byte {
	text := configText
	if h.Shop != "" {
		text = strings.Replace(text, cookieDomainLine, "", 1)
	}
	var pairs []string
	for _, host := range []struct{ from, to string }{
		{"https://www.shop.example", h.Shop},
		{"https://counter.example", h.Counter},
		{"https://pixel-a.example", h.PixelA},
		{"https://pixel-b.example", h.PixelB},
		{"https://chat.example", h.Chat},
	} {
		if host.to != "" {
			pairs = append(pairs, host.from, strings.TrimSuffix(host.to, "/"))
		}
	}
	return []byte(strings.NewReplacer(pairs...).Replace(text))
}

const cookieDomainLine = "cookie_domain: shop.example\n"

// Files holds stile.yaml and the policy folder, as they lie beside each other.
func Files() fs.FS { return configFiles }
