package shop

import (
	"strings"
	"testing"
)

func TestRenderMarkdown(t *testing.T) {
	for _, tt := range []struct{ name, source, want string }{
		{"heading", "## 5. Who & why", `<h2 id="5-who-why">5. Who &amp; why</h2>` + "\n"},
		{"paragraph", "one\ntwo **three** <b>", "<p>one two <strong>three</strong> &lt;b&gt;</p>\n"},
		{"list", "- **a** b\n- c", "<ul>\n<li><strong>a</strong> b</li>\n<li>c</li>\n</ul>\n"},
		{"nothing", "\n\n", ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if got := string(renderMarkdown(tt.source)); got != tt.want {
				t.Errorf("got %q, want %q", got, tt.want)
			}
		})
	}
}

// TestPolicy: the policy is a long one and names all that stile.yaml asks about.
func TestPolicy(t *testing.T) {
	if n := len(strings.Fields(policyText)); n < 1500 {
		t.Errorf("the policy has %d words", n)
	}
	for _, word := range []string{
		"### Necessary", "### Functional", "### Analytics", "### Marketing", "House counter", "Pixel A", "Pixel B", "Chat",
		"Loyalty", "hc_id", "hc_seen", "chat_", "stile_shop", "privacy@shop.example", "1 November 2026",
	} {
		if !strings.Contains(policyText, word) {
			t.Errorf("the policy does not speak of %q", word)
		}
	}
	if strings.Contains(string(policyHTML), "**") || strings.Contains(string(policyHTML), "<p>-") {
		t.Error("the policy uses Markdown that is not drawn")
	}
}
