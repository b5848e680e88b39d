package shop

import (
	"html/template"
	"regexp"
	"strings"
)

// policyHTML is the policy in force, drawn once.
var policyHTML = renderMarkdown(policyText)

var bold = regexp.MustCompile(`\*\*(.+?)\*\*`)

// renderMarkdown draws the little Markdown that the policy is written in: headings, paragraphs, lists and bold. All text
// is escaped, so that the result is safe whatever the source says.
func renderMarkdown(source string) template.HTML {
	var out strings.Builder
	for block := range strings.SplitSeq(strings.TrimSpace(source), "\n\n") {
		block = strings.TrimSpace(block)
		switch {
		case block == "":
		case strings.HasPrefix(block, "#"):
			marks, text, _ := strings.Cut(block, " ")
			h := "h" + string(rune('0'+min(len(marks), 6)))
			out.WriteString("<" + h + ` id="` + anchor(text) + `">` + inline(text) + "</" + h + ">\n")
		case strings.HasPrefix(block, "- "):
			out.WriteString("<ul>\n")
			for item := range strings.SplitSeq(strings.TrimPrefix(block, "- "), "\n- ") {
				out.WriteString("<li>" + inline(item) + "</li>\n")
			}
			out.WriteString("</ul>\n")
		default:
			out.WriteString("<p>" + inline(block) + "</p>\n")
		}
	}
	return template.HTML(out.String()) //nolint:gosec // every piece of it went through inline or anchor
}

func inline(text string) string {
	escaped := template.HTMLEscapeString(strings.ReplaceAll(text, "\n", " "))
	return bold.ReplaceAllString(escaped, "<strong>$1</strong>")
}

// anchor makes a heading's id: "5. Cookies" is "5-cookies".
func anchor(text string) string {
	words := strings.FieldsFunc(strings.ToLower(text), func(r rune) bool {
		return (r < 'a' || r > 'z') && (r < '0' || r > '9')
	})
	return strings.Join(words, "-")
}
