package gate

import (
	"fmt"
	"strconv"
	"strings"
)

// sampled puts what lets a share of page views report what they loaded behind the end of an answer, where the site wants that.
func (g *Gate) sampled(last string) string {
	if g.site.Sightings == 0 {
		return last
	}
	share := strconv.FormatFloat(g.site.Sightings, 'g', -1, 64)
	return strings.TrimSuffix(last, "\n") + ";stile._(0,0,k=>(" + g.parts.sample + ")(k," + share + "))\n"
}

// Watch returns the script that reports what a page view loaded. It is the same for every visitor.
func (g *Gate) Watch() (*Answer, error) {
	return g.kept.get("watch", func() (string, error) {
		return "stile._(0,0,k=>(" + g.parts.watch + ")(k," + fmt.Sprint(g.site.SinglePage) + "))\n", nil
	})
}
