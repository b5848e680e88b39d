package page

import (
	"cmp"
	"regexp"
	"strings"

	"golang.org/x/net/html"

	"github.com/stilehq/stile/server/vendors"
)

// holders are the attributes by which consent platforms know what waits, and for what.
var holders = []string{
	"data-stile", "data-cookieconsent", "data-cookiecategory", "data-cookiefirst-category", "data-usercentrics", "data-consent",
	"data-cmp-purpose", "data-cmp-vendor", "data-trackertype",
}

// sharedHolders are those that pages also have for what they name otherwise.
var sharedHolders = []string{"data-category", "data-name", "data-service"}

var optanon = regexp.MustCompile(`(?:^|\s)optanon-category-(\S+)`)

// category is for what an element waits that does nothing by itself; "" where it names nothing.
func category(n *html.Node) string {
	for _, list := range [][]string{holders[:1], sharedHolders[:1], holders[1:], sharedHolders[1:]} {
		for _, name := range list {
			if value := strings.TrimSpace(attr(n, name)); value != "" {
				return value
			}
		}
	}
	if m := optanon.FindStringSubmatch(attr(n, "class")); m != nil {
		return m[1]
	}
	return ""
}

// holder is for what an element waits whose address stands where programs that put loading off may find it: "" where nothing
// tells such a program to leave it alone. What klaro and vanilla-cookieconsent call so may be anything in other pages: it has
// to name what waits somewhere, and the element must not be one of such a program.
func (j *Judge) holder(get func(name string) (string, bool)) string {
	for _, name := range holders {
		if value, _ := get(name); strings.TrimSpace(value) != "" {
			return strings.TrimSpace(value)
		}
	}
	for _, name := range sharedHolders {
		value, _ := get(name)
		if value = strings.TrimSpace(value); value == "" || !j.names[cmp.Or(strings.TrimPrefix(value, "!"), value)] {
			continue
		}
		if class, _ := get("class"); !strings.Contains(strings.ToLower(class), "lazy") {
			return value
		}
	}
	return ""
}

// addNames takes in what a consent platform may name: categories, the site's tags and the library's vendors.
func (j *Judge) addNames(library *vendors.Library) {
	for _, name := range []string{"necessary", "functional", "analytics", "marketing"} {
		j.names[name] = true
	}
	for _, v := range library.All() {
		j.names[v.ID] = true
	}
	if j.site == nil {
		return
	}
	for i := range j.site.Categories {
		j.names[j.site.Categories[i].Name] = true
	}
	for i := range j.site.Tags {
		j.names[j.site.Tags[i].ID], j.names[j.site.Tags[i].Name] = true, true
	}
}
