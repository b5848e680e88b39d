package server

import "strings"

// crawlers are parts of the names that crawlers and link previews go by, in lower case. Whoever they name cannot choose:
// there is no banner for them, and nothing optional. The name itself is kept nowhere (C5).
var crawlers = []string{
	"bot", "crawl", "spider", "slurp", "facebookexternalhit", "mediapartners", "inspectiontool", "bingpreview", "ia_archiver", "whatsapp/", "embedly",
	"feedfetcher", "google-read-aloud", "yandeximages",
}

// crawler tells a crawler by its User-Agent.
func crawler(agent string) bool {
	if len(agent) > 512 {
		agent = agent[:512]
	}
	for i := range len(agent) {
		for _, name := range crawlers {
			if agent[i]|0x20 != name[0] || len(agent)-i < len(name) || !strings.EqualFold(agent[i:i+len(name)], name) {
				continue
			}
			if name == "bot" && i >= 2 && strings.EqualFold(agent[i-2:i], "cu") {
				continue // Cubot makes telephones
			}
			return true
		}
	}
	return false
}
