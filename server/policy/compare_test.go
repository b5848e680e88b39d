package policy

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

func TestCompare(t *testing.T) {
	const far = "\n\none\n\ntwo\n\nthree\n\nfour\n\n"
	for _, tt := range []struct{ name, before, after, want string }{
		{"nothing", "", "", ""},
		{"all new", "", "# a\n\nb", "<h1><ins>a</ins></h1><p><ins>b</ins></p>"},
		{"all gone", "# a\n\nb", "", "<h1><del>a</del></h1><p><del>b</del></p>"},
		{"a word", "kept for 10 years", "kept for 8 years", "<p>kept for <del>10</del><ins>8</ins> years</p>"},
		{"words at the end", "kept, and so on", "kept, and so on for ever", "<p>kept, and so on<ins> for ever</ins></p>"},
		{
			"a word between two others", "kept for 2 years at most here", "kept for 10 months at most here",
			"<p>kept for <del>2 years</del><ins>10 months</ins> at most here</p>",
		},
		{
			"a word that stayed", "the shop may keep 2 long years", "the shop may keep 3 long months",
			"<p>the shop may keep <del>2 long years</del><ins>3 long months</ins></p>",
		},
		{
			"two words that stayed", "for 2 years in all and 3 days", "for 5 years in all and 4 days",
			"<p>for <del>2</del><ins>5</ins> years in all and <del>3</del><ins>4</ins> days</p>",
		},
		{"went on", "We keep it.", "We keep it. Nobody sees it but those who pack.", "<p>We keep it.<ins> Nobody sees it but those who pack.</ins></p>"},
		{"Chinese", "我们保存两年的数据", "我们保存三年的数据", "<p>我们保存<del>两</del><ins>三</ins>年的数据</p>"},
		{"made bold", "kept for 10 years", "kept for **10 years**", "<p>kept for <del>10 years</del><ins><strong>10 years</strong></ins></p>"},
		{
			"within bold", "kept for **at most 10 years**", "kept for **at most 8 years**",
			"<p>kept for <strong>at most </strong><del><strong>10</strong></del><ins><strong>8</strong></ins><strong> years</strong></p>",
		},
		{
			"a link's address", "see [here](/a) for more", "see [here](/b) for more",
			`<p>see <del><a href="/a">here</a></del><ins><a href="/b">here</a></ins> for more</p>`,
		},
		{"line breaks of the source", "one\ntwo   three\n", "one two\nthree", "<p>one two three</p>"},
		{"escaped", "a <b> c d", "a <i> & c d", "<p>a &lt;<del>b&gt;</del><ins>i&gt; &amp;</ins> c d</p>"},
		{"another kind", "a b c", "# a b c", "<p><del>a b c</del></p><h1><ins>a b c</ins></h1>"},
		{"little in common", "one two three four", "one five six seven", "<p><del>one two three four</del></p><p><ins>one five six seven</ins></p>"},
		{
			"an item", "- a\n- **b**\n- c\n", "- a\n- c\n- d\n",
			"<ul><li>a</li><li><del><strong>b</strong></del></li><li>c</li><li><ins>d</ins></li></ul>",
		},
		{
			"an item in an item", "- a\n  - b\n  - c\n- d", "- a\n  - c\n  - e\n- d",
			"<ul><li>a<ul><li><del>b</del></li><li>c</li><li><ins>e</ins></li></ul></li><li>d</li></ul>",
		},
		{
			"a row and a cell", "n | x\n-|-\na b | 1\nc | 2\nd | 3", "n | x\n-|-\na b | 4\nd | 3\ne | ",
			"<table><thead><tr><th>n</th><th>x</th></tr></thead><tbody><tr><td>a b</td><td><del>1</del><ins>4</ins></td></tr>" +
				"<tr><td><del>c</del></td><td><del>2</del></td></tr><tr><td>d</td><td>3</td></tr><tr><td><ins>e</ins></td><td></td></tr></tbody></table>",
		},
		{"code", "~~~\na  b c d\n~~~", "~~~\na  b e d\n~~~", "<pre><code>a  b </code><del><code>c</code></del><ins><code>e</code></ins><code> d\n</code></pre>"},
		{"a place", "a\n\n{cookies}\n\nb", "a\n\n{cookies:analytics}\n\nb", "<p>a</p><p>b</p>"},
		{
			"far from it", "# A" + far + "# B" + far + "five", "# A" + far + "# B" + far + "six",
			"<details><summary>&amp; so on</summary><h1>A</h1><p>one</p><p>two</p><p>three</p><p>four</p></details><h1>B</h1>" +
				"<details><summary>&amp; so on</summary><p>one</p><p>two</p><p>three</p></details><p>four</p><p><del>five</del></p><p><ins>six</ins></p>",
		},
		{"far, but short", "a\n\nb\n\nc\n\nd\n", "a\n\nb\n\nc\n\nd\n\ne", "<p>a</p><p>b</p><p>c</p><p>d</p><p><ins>e</ins></p>"},
		{
			"an item that went into another", "1. we\n1. keep\n | \n-|-\n | ", "1. we\n | \n-|-\n | ",
			"<ol><li>we<br><del>keep</del><table><thead><tr><th></th><th></th></tr></thead><tbody><tr><td></td><td></td></tr></tbody></table></li></ol>",
		},
		{"no change at all", far, far, "<details><summary>&amp; so on</summary><p>one</p><p>two</p><p>three</p><p>four</p></details>"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			html, changed, err := Compare([]byte(tt.before), []byte(tt.after), "& so on")
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tt.want, strings.ReplaceAll(html, ">\n", ">")); diff != "" {
				t.Errorf("-want +got\n%s", diff)
			}
			if want := strings.Contains(tt.want, "<ins>") || strings.Contains(tt.want, "<del>"); changed != want {
				t.Errorf("changed %v, want %v", changed, want)
			}
			inspect(t, html)
		})
	}
}

// texts draws policies that have much in common with each other.
func texts(t *rapid.T) (before, after string) {
	words := rapid.SampledFrom(strings.Split("we keep your **data** for 2 3 years; [here](/a) [here](/b) <b> & *as said* `hc_id` 数据 \\* \u00a0 ![x](y)", " "))
	line := rapid.Custom(func(t *rapid.T) string { return strings.Join(rapid.SliceOfN(words, 0, 8).Draw(t, "words"), " ") })
	shape := rapid.SampledFrom([]string{"X\n\n", "X\n\n", "## X\n\n", "- X\n", "- X\n  - X\n", "- X\n\n  X\n", "1. X\n", "> X\n", "X | X\n-|-\nX | X\nX\n\n", "    X\n\n", "X\\\nX\n\n", "***\n", "{cookies}\n\n"})
	block := rapid.Custom(func(t *rapid.T) string {
		text := shape.Draw(t, "shape")
		for strings.Contains(text, "X") {
			text = strings.Replace(text, "X", line.Draw(t, "line"), 1)
		}
		return text
	})
	blocks := rapid.SliceOfN(block, 0, 12).Draw(t, "blocks")
	before = strings.Join(blocks, "")
	for range rapid.IntRange(0, 5).Draw(t, "changes") {
		at := rapid.IntRange(0, len(blocks)).Draw(t, "at")
		rest := blocks[at:]
		if len(rest) > 0 && rapid.Bool().Draw(t, "removed") {
			rest = rest[1:]
		}
		added := rapid.SliceOfN(block, 0, 2).Draw(t, "added")
		blocks = append(append(append([]string{}, blocks[:at]...), added...), rest...)
	}
	return before, strings.Join(blocks, "")
}

// TestCompareIsWhole: without what was removed it is the new text, and without what was added the old one.
func TestCompareIsWhole(t *testing.T) {
	read := func(t *rapid.T, markdown string) string {
		page, err := Render([]byte(markdown), func(string, string) (string, bool) { return "", true })
		if err != nil {
			t.Fatal(err)
		}
		return plain(t, page.HTML, "")
	}
	rapid.Check(t, func(t *rapid.T) {
		before, after := texts(t)
		html, changed, err := Compare([]byte(before), []byte(after), "the same")
		if err != nil {
			t.Fatal(err)
		}
		inspect(t, html)
		if want, got := read(t, after), plain(t, html, "del"); want != got {
			t.Fatalf("the new text\n%s\nis drawn as\n%s\nin\n%s", want, got, html)
		}
		if want, got := read(t, before), plain(t, html, "ins"); want != got {
			t.Fatalf("the old text\n%s\nis drawn as\n%s\nin\n%s", want, got, html)
		}
		if !changed && (strings.Contains(html, "<ins>") || strings.Contains(html, "<del>") || read(t, before) != read(t, after)) {
			t.Fatalf("nothing is said to have changed in\n%s", html)
		}
		for _, text := range []string{before, after} {
			if html, changed, err := Compare([]byte(text), []byte(text), ""); err != nil || changed || strings.Contains(html, "<ins>") {
				t.Fatalf("compared with itself: changed %v, %v\n%s", changed, err, html)
			}
		}
	})
}
