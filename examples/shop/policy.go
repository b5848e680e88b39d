package shop

import (
	"html/template"
	"net/url"

	"github.com/stilehq/stile/server/policy"
)

// privacyPolicy draws the policy in force. The tables of cookies and the list of recipients are drawn where the choices
// are made, from stile.yaml: here, links lead to them, or nothing is in their places when the shop has no consent host.
func privacyPolicy(consentHost string) template.HTML {
	page, err := policy.Render([]byte(policyText), func(name, argument string) (string, bool) {
		if consentHost == "" {
			return "", true
		}
		switch name {
		case "cookies":
			return link(consentHost+"#"+url.PathEscape(argument), "The cookies in the category "+argument+", one by one"), true
		case "recipients":
			return link(consentHost+"#5-who-receives-your-data", "The companies, one by one"), true
		}
		return "", false
	})
	if err != nil {
		panic(err) // the text is compiled in, and its length is that of a policy
	}
	return template.HTML(page.HTML) //nolint:gosec // Render's HTML is safe, and so are the links
}

func link(address, words string) string {
	return `<p><a href="` + template.HTMLEscapeString(address) + `">` + template.HTMLEscapeString(words) + "</a></p>"
}
