package gate

import "github.com/stilehq/stile/server/consent"

// Preview is the answer to a simulated visit, with a note before it that says so in the page, in words of at most a line, and
// until when (Unix milliseconds). It is made for one request and never kept, and has nothing that counts or reports.
func (g *Gate) Preview(d *consent.Decision, lang, text string, until int64) ([]byte, error) {
	site, quiet := *g.site, *g
	site.Sightings, quiet.site = 0, &site
	answer, err := quiet.compose(d, lang, "")
	if err != nil {
		return nil, err
	}
	return []byte("(" + g.parts.preview + ")(" + literal(g.site.Name) + "," + literal(text) + "," + literal(until) + ");\n" + answer), nil
}
