package policy

import (
	"bytes"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	nethtml "golang.org/x/net/html"
	"pgregory.net/rapid"
)

// tables fills the places that a policy may have.
func tables(name, argument string) (string, bool) {
	switch {
	case name == "cookies" && argument != "nonsense":
		return "<table><caption>" + argument + "</caption></table>", true
	case name == "recipients" && argument == "":
		return "", true
	}
	return "", false
}

func TestRender(t *testing.T) {
	for _, tt := range []struct{ name, markdown, want string }{
		{"nothing", "\n\n", ""},
		{"paragraph", "one\ntwo **three** *four*", "<p>one\ntwo <strong>three</strong> <em>four</em></p>\n"},
		{"list", "- **a** b\n- c", "<ul>\n<li><strong>a</strong> b</li>\n<li>c</li>\n</ul>\n"},
		{"from Windows", "\ufeff# One\r\n\r\ntwo\r\nthree\r\n", "<h1 id=\"one\">One</h1>\n<p>two\nthree</p>\n"},
		{"not UTF-8", "caf\xe9", "<p>caf\ufffd</p>\n"},

		{"heading", "## 5. Who & why", `<h2 id="5-who-why">5. Who &amp; why</h2>` + "\n"},
		{"heading, marked", "## *5*. `Cookies` [x](/y)", `<h2 id="5-cookies-x"><em>5</em>. <code>Cookies</code> <a href="/y">x</a></h2>` + "\n"},
		{"heading, again", "# A\n# A\n# A 2\n# A", "<h1 id=\"a\">A</h1>\n<h1 id=\"a-2\">A</h1>\n<h1 id=\"a-2-2\">A 2</h1>\n<h1 id=\"a-3\">A</h1>\n"},
		{"heading, elsewhere", "# 五、 Für", `<h1 id="五-für">五、 Für</h1>` + "\n"},
		{"heading, no word", "# !", `<h1 id="section">!</h1>` + "\n"},

		{"table", "a | b\n-|-:\n1 | ", "<table>\n<thead>\n<tr>\n<th>a</th>\n<th align=\"right\">b</th>\n</tr>\n</thead>\n<tbody>\n" +
			"<tr>\n<td>1</td>\n<td></td>\n</tr>\n</tbody>\n</table>\n"},

		{"HTML", "a <b onclick=x>c</b>", "<p>a &lt;b onclick=x&gt;c&lt;/b&gt;</p>\n"},
		{"HTML block", "<script>\nalert(1)\n</script>", "<p>&lt;script&gt;\nalert(1)\n&lt;/script&gt;</p>\n"},
		{"comment", "<!-- **a** -->", "<p>&lt;!-- <strong>a</strong> --&gt;</p>\n"},
		{"code", "    <script>\n", "<pre><code>&lt;script&gt;\n</code></pre>\n"},

		{"link", `[a](https://b.example/?c&d "e")`, `<p><a href="https://b.example/?c&amp;d" title="e">a</a></p>` + "\n"},
		{"link, here", "[a](#5-cookies) [b](/privacy)", `<p><a href="#5-cookies">a</a> <a href="/privacy">b</a></p>` + "\n"},
		{"link, mail", "<privacy@shop.example>", `<p><a href="mailto:privacy@shop.example">privacy@shop.example</a></p>` + "\n"},
		{"link, script", "[*a*](javascript:alert(1))", "<p><em>a</em></p>\n"},
		{"link, script in disguise", "[a](JavaScript&colon;b) [c](java&Tab;script:d) [e]( &#1;javascript:f)", "<p>a c e</p>\n"},
		{"link, script as it is", "<javascript:alert(1)>", "<p>javascript:alert(1)</p>\n"},
		{"link, script below", "[a]\n\n[a]: vbscript:b", "<p>a</p>\n"},
		{"link, data", "[a](data:text/html,b)", "<p>a</p>\n"},
		{"link, unreadable", "[a](https://[b)", "<p>a</p>\n"},
		{"image", "![a *b*](https://c.example/d.png)", "<p>a <em>b</em></p>\n"},
		{"image in a link", "[![a](b.png)](javascript:c)", "<p>a</p>\n"},

		{"place", "a\n\n{cookies}\n\n{cookies:analytics}\n\nb", "<p>a</p>\n<table><caption></caption></table>\n" +
			"<table><caption>analytics</caption></table>\n<p>b</p>\n"},
		{"place, left out", "a\n\n {recipients} \n\nb", "<p>a</p>\n<p>b</p>\n"},
		{"place, unknown", "{cookies:nonsense}", "<p>{cookies:nonsense}</p>\n"},
		{"place, among words", "see {cookies}\n\n`{cookies}`\n\n# {cookies}", "<p>see {cookies}</p>\n<p><code>{cookies}</code></p>\n" +
			"<h1 id=\"cookies\">{cookies}</h1>\n"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got, err := Render([]byte(tt.markdown), tables)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tt.want, got.HTML); diff != "" {
				t.Errorf("-want +got\n%s", diff)
			}
		})
	}
}

func TestPage(t *testing.T) {
	got, err := Render([]byte("text\n\nPolicy & *more* \\* `<b>`\n---\n\n# Second\n\n{cookies:b}\n\n{cookies:a}\n\n> {cookies:b}\n\n{nonsense}\n\n{cookies:nonsense}"), tables)
	if err != nil {
		t.Fatal(err)
	}
	want := Page{
		HTML:    got.HTML,
		Title:   "Policy & more * <b>",
		Filled:  []string{"cookies:b", "cookies:a", "cookies:b"},
		Unknown: []string{"nonsense", "cookies:nonsense"},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("-want +got\n%s", diff)
	}

	got, err = Render([]byte("{cookies}"), nil)
	if want := (Page{HTML: "<p>{cookies}</p>\n", Unknown: []string{"cookies"}}); err != nil || !cmp.Equal(got, want) {
		t.Errorf("with nothing to fill it: %+v, %v", got, err)
	}
}

func TestBounds(t *testing.T) {
	most := []byte(strings.Repeat("word word\n\n", MaxSize/11+1)[:MaxSize])
	if _, err := Render(most, nil); err != nil {
		t.Error(err)
	}
	if _, changed, err := Compare(most, most, ""); err != nil || changed {
		t.Errorf("comparing it with itself: changed %v, %v", changed, err)
	}
	const want = "the policy has 1048577 bytes, and may have 1048576 at most"
	over := bytes.Repeat([]byte("x"), MaxSize+1)
	_, renderErr := Render(over, nil)
	_, _, oldErr := Compare(over, nil, "")
	_, _, newErr := Compare(nil, over, "")
	for _, err := range []error{renderErr, oldErr, newErr} {
		if err == nil || err.Error() != want {
			t.Errorf("error %v, want %s", err, want)
		}
	}
}

// TestEscaped: whatever a text says, a reader sees what is in it as text.
func TestEscaped(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		said := "x" + rapid.StringMatching(`[a-z<>&"'/= ]{1,40}`).Draw(t, "said")
		for _, markdown := range []string{said, "- " + said, "# " + said, "> a\n> " + said, "**a** " + said, "a | b\n-|-\n" + said, "    " + said} {
			page, err := Render([]byte(markdown), nil)
			if err != nil {
				t.Fatal(err)
			}
			inspect(t, page.HTML)
			want := strings.Join(strings.Fields(said), " ")
			if got := plain(t, page.HTML, ""); !strings.HasSuffix(got, want) {
				t.Fatalf("%q in %s is read as %q", said, page.HTML, got)
			}
		}
	})
}

// FuzzRender: a page has the elements of a text and no others, and leads nowhere but where a policy may.
func FuzzRender(f *testing.F) {
	for _, seed := range []string{
		"# A\n\n- **b** [c](javascript:d)\n\n{cookies}\n\n<script>e</script>", "a | b\n-|-\n<javascript:c> | ![d](e)",
		"[a]: <java\tscript:b> \"c\"\n\n[a] <i@j.example> `k`\n\n1. l\n\n   > m\n***\n", "~~~ x\" onclick=y\n{recipients}\n~~~\n{cookies:a}",
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, markdown []byte) {
		page, err := Render(markdown, tables)
		if err != nil {
			t.Skip(err)
		}
		inspect(t, page.HTML)
		if n := strings.Count(page.HTML, "<caption>"); n > len(page.Filled) {
			t.Errorf("%d places were filled, and %d told of", n, len(page.Filled))
		}
		html, changed, err := Compare(markdown, markdown, "")
		if err != nil || changed || strings.Contains(html, "<ins>") || strings.Contains(html, "<del>") {
			t.Errorf("compared with itself: changed %v, %v, %s", changed, err, html)
		}
		inspect(t, html)
		if want, got := plain(t, page.HTML, "table"), plain(t, html, "table"); len(page.Filled)+len(page.Unknown) == 0 && want != got {
			t.Errorf("compared with itself, %q reads %q", want, got)
		}
	})
}

// inspect fails for HTML with anything in it that the policy's text may not have.
func inspect(t interface{ Fatalf(string, ...any) }, source string) {
	for n := range parse(t, source).Descendants() {
		switch n.Type {
		case nethtml.ElementNode:
			if !slices.Contains(strings.Fields("html head body h1 h2 h3 h4 h5 h6 p ul ol li blockquote pre code em strong a br hr "+
				"table caption thead tbody tr th td ins del details summary"), n.Data) {
				t.Fatalf("element %s in %s", n.Data, source)
			}
			for _, attribute := range n.Attr {
				switch n.Data + " " + attribute.Key {
				case "h1 id", "h2 id", "h3 id", "h4 id", "h5 id", "h6 id", "a title", "code class", "ol start", "td align", "th align":
				case "a href":
					u, err := url.Parse(attribute.Val)
					if err != nil || !slices.Contains([]string{"", "http", "https", "mailto", "tel"}, u.Scheme) {
						t.Fatalf("a link to %q in %s", attribute.Val, source)
					}
				default:
					t.Fatalf("%s has %s in %s", n.Data, attribute.Key, source)
				}
			}
		case nethtml.TextNode, nethtml.DocumentNode:
		default:
			t.Fatalf("%q in %s", n.Data, source)
		}
	}
}

func parse(t interface{ Fatalf(string, ...any) }, source string) *nethtml.Node {
	root, err := nethtml.Parse(strings.NewReader(source))
	if err != nil {
		t.Fatalf("%v", err)
	}
	return root
}

// plain is what a reader sees of HTML, without the elements that are called without, and without what is said of folds.
func plain(t interface{ Fatalf(string, ...any) }, source, without string) string {
	var out strings.Builder
	var walk func(n *nethtml.Node)
	walk = func(n *nethtml.Node) {
		if n.Type == nethtml.TextNode {
			out.WriteString(n.Data)
		}
		if n.Type == nethtml.ElementNode && (n.Data == without || n.Data == "summary") {
			return
		}
		apart := n.Type == nethtml.ElementNode && !slices.Contains([]string{"a", "code", "em", "strong", "ins", "del"}, n.Data)
		if apart {
			out.WriteString(" ")
		}
		for child := range n.ChildNodes() {
			walk(child)
		}
		if apart {
			out.WriteString(" ")
		}
	}
	walk(parse(t, source))
	return strings.Join(strings.Fields(out.String()), " ")
}
