package shop

import (
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/PuerkitoBio/goquery"
	"github.com/goccy/go-yaml"

	"github.com/stilehq/stile/server/policy"
)

// versions are the policy's texts, oldest first.
func versions(t *testing.T) (old, present string) {
	t.Helper()
	earlier, err := configFiles.ReadFile("policy/2026-03-03.md")
	if err != nil {
		t.Fatal(err)
	}
	return string(earlier), policyText
}

// TestPolicy: each version is a long one, and speaks of all that visitors were asked about in its time.
func TestPolicy(t *testing.T) {
	old, present := versions(t)
	for _, tt := range []struct {
		name, text string
		says, not  []string
	}{
		{
			name: "2026-03-03", text: old,
			says: []string{"**3 March 2026**", "demonstration", "fictitious", "House counter", "Pixel A", "Chat", "hc_id", "hc_seen", "chat_", "stile_shop", "privacy@shop.example"},
			not:  []string{"Pixel B", "oyalty", "{"}, // places would show today's cookies in a text of then
		},
		{
			name: "2026-11-01", text: present,
			says: []string{"**1 November 2026**", "It replaces the version of 3 March 2026", "demonstration", "fictitious", "stile_shop", "privacy@shop.example"},
			not:  []string{"hc_", "chat_"}, // the tables say that
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if n := len(strings.Fields(tt.text)); n < 1800 {
				t.Errorf("the policy has %d words", n)
			}
			for _, words := range append(tt.says, "### Necessary", "### Functional", "### Analytics", "### Marketing") {
				if !strings.Contains(tt.text, words) {
					t.Errorf("the policy does not speak of %q", words)
				}
			}
			for _, words := range tt.not {
				if strings.Contains(tt.text, words) {
					t.Errorf("the policy speaks of %q", words)
				}
			}
			page, err := policy.Render([]byte(tt.text), nil)
			if err != nil || page.Title != "Privacy and cookie policy" {
				t.Errorf("title %q, %v", page.Title, err)
			}
			if strings.Contains(page.HTML, "**") || strings.Contains(page.HTML, "<p>-") {
				t.Error("the policy uses Markdown that is not drawn")
			}
		})
	}
}

// TestPolicyIsWhole: the policy in force names all tags of stile.yaml, and has a place for the cookies of every category.
func TestPolicyIsWhole(t *testing.T) {
	var site struct {
		Categories yaml.MapSlice
		Tags       []struct{ Name string }
	}
	if err := yaml.Unmarshal([]byte(configText), &site); err != nil || len(site.Tags) == 0 || len(site.Categories) == 0 {
		t.Fatal(err, site)
	}
	for _, tag := range site.Tags {
		if !strings.Contains(policyText, tag.Name) {
			t.Errorf("the policy does not speak of %s", tag.Name)
		}
	}
	var want []string
	for _, category := range site.Categories {
		want = append(want, "cookies:"+category.Key.(string))
	}
	want = append(want, "recipients")
	page, err := policy.Render([]byte(policyText), func(string, string) (string, bool) { return "-", true })
	if err != nil || !slices.Equal(page.Filled, want) {
		t.Errorf("places for %q, %v, want %q", page.Filled, err, want)
	}
}

// TestPolicyChanged: what is new can be seen beside what was before.
func TestPolicyChanged(t *testing.T) {
	old, present := versions(t)
	html, changed, err := policy.Compare([]byte(old), []byte(present), "Not changed")
	if err != nil || !changed {
		t.Fatal(changed, err)
	}
	doc, err := goquery.NewDocumentFromReader(strings.NewReader(html))
	if err != nil {
		t.Fatal(err)
	}
	for selector, want := range map[string]string{
		"del": "newsletter", "ins": "Pixel B", "p:contains('We answer requests') del": "30", "p:contains('We answer requests') ins": "15",
		"h2 del": "11", "h2 ins": "No automated decisions", "details p": "A cookie is a small text",
	} {
		if got := doc.Find(selector).Text(); !strings.Contains(got, want) {
			t.Errorf("%s is %q, without %q", selector, got, want)
		}
	}
}

func TestPrivacyPage(t *testing.T) {
	const consentHost = "https://consent.shop.example/stile/shop/policy"
	for _, tt := range []struct {
		name, host string
		want       []string
	}{
		{name: "by itself"},
		{name: "with Stile", host: consentHost, want: []string{
			consentHost + "#necessary", consentHost + "#functional", consentHost + "#analytics", consentHost + "#marketing",
			consentHost + "#5-who-receives-your-data",
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w := get(t, Handler(Options{Policy: tt.host}), "/privacy")
			if w.Code != http.StatusOK {
				t.Fatalf("status %d", w.Code)
			}
			doc := document(t, w)
			if got := doc.Find(".policy h1").Text(); got != "Privacy and cookie policy" {
				t.Errorf("the heading is %q", got)
			}
			if strings.Contains(doc.Find(".policy").Text(), "{") {
				t.Error("a place is left as it was written")
			}
			got := doc.Find(".policy a").Map(func(_ int, a *goquery.Selection) string { return a.AttrOr("href", "") })
			if !slices.Equal(got, tt.want) {
				t.Errorf("links to %q, want %q", got, tt.want)
			}
			for _, href := range got {
				if _, id, _ := strings.Cut(href, "#"); doc.Find("[id='"+id+"']").Length() == 0 {
					t.Errorf("%s leads nowhere in the same text", href)
				}
			}
		})
	}
}
