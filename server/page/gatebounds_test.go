package page

import (
	"bytes"
	"errors"
	"io"
	"runtime"
	"strings"
	"testing"
)

func TestGatable(t *testing.T) {
	for _, c := range []struct {
		name, contentType, head string
		want                    bool
	}{
		{"UTF-8", "text/html; charset=utf-8", "<p>x", true},
		{"nothing said", "text/html", "<p>x", true},
		{"upper case", "Text/HTML;Charset=\"UTF-8\"", "<p>x", true},
		{"Windows", "text/html; charset=windows-1252", "<p>\xe9", true},
		{"Shift_JIS", "text/html", "<meta charset=shift_jis>", true},
		{"an encoding that nobody knows", "text/html; charset=klingon", "<p>x", true},
		{"UTF-16 by its mark", "text/html; charset=utf-8", "\xff\xfe<\x00p\x00", false},
		{"UTF-16 the other way", "text/html", "\xfe\xff\x00<\x00p", false},
		{"UTF-16 by the header", "text/html; charset=utf-16le", "<\x00p\x00", false},
		{"UTF-16 by its own word is UTF-8", "text/html", "<meta charset=utf-16>", true},
		{"ISO-2022-JP by the header", "text/html; charset=ISO-2022-JP", "<p>x", false},
		{"ISO-2022-JP by its own word", "text/html", `<meta http-equiv=Content-Type content="text/html; charset=csISO2022JP">`, false},
		{"ISO-2022-JP, not said", "text/html", "<p>\x1b$B%F%9%H\x1b(B", false},
		{"what browsers refuse", "text/html; charset=hz-gb-2312", "<p>x", false},
		{"XHTML", "application/xhtml+xml", "<p>x", false},
		{"text", "text/plain", "<p>x", false},
		{"nothing", "", "<p>x", false},
		{"no type", ";;", "<p>x", false},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := Gatable(c.contentType, []byte(c.head)); got != c.want {
				t.Errorf("Gatable = %v", got)
			}
		})
	}
}

// What is larger than may be held is judged by its beginning, in whatever parts it comes.
func TestGateLarge(t *testing.T) {
	const pixel = "https://www.facebook.com/tr?id=1"
	const code = `fbq("init", "1234567890");`
	long := strings.Repeat("x", 5<<18)
	for _, c := range []struct{ name, page, want string }{
		{
			"a tag", `<img src="` + pixel + `" alt="` + long + `"><img src=` + pixel + `>`,
			`<img data-stile="marketing" data-href="" data-stile-src="` + pixel + `" alt="` + long + `"><img data-stile="marketing" data-href="" data-stile-src=` + pixel + `>`,
		},
		{"an address", `<img src="` + pixel + long + `" srcset="` + pixel + `"><p>`, `<img data-stile="marketing" data-href="" data-stile-src="` + pixel + long + `" srcset="` + pixel + `"><p>`},
		{"an attribute too late", `<img alt="` + long + `" src="` + pixel + `"><p>`, `<img alt="` + long + `" src="` + pixel + `"><p>`},
		{"a name", `<img` + long + ` src="` + pixel + `"><p>`, `<img` + long + ` src="` + pixel + `"><p>`},
		{"a tag of a script", `<script data-x="` + long + `"><img src=` + pixel + `></script><p>`, `<script data-x="` + long + `"><img src=` + pixel + `></script><p>`},
		{"a script", `<script>` + code + long + `</script><p>`, `<script type="text/plain" data-stile="marketing">` + code + long + `</script><p>`},
		{"a script that says it too late", `<script>` + long + code + `</script><p>`, `<script>` + long + code + `</script><p>`},
		{"a style", `<style>a{b:url(` + pixel + `)}` + long + `</style><p>`, `<style data-stile="marketing" data-href="">a{b:url(about:invalid#` + pixel + `)}` + long + `</style><p>`},
		{"a style that says it too late", `<style>` + long + `a{b:url(` + pixel + `)}</style><p>`, `<style>` + long + `a{b:url(` + pixel + `)}</style><p>`},
		{"noscript", `<noscript>` + long + `<img src=` + pixel + `></noscript><p>`, `<noscript>` + long + `<img data-stile="marketing" data-href="" data-stile-src=` + pixel + `></noscript><p>`},
		{"a comment", `<!--` + long + `--><img src=` + pixel + `>`, `<!--` + long + `--><img data-stile="marketing" data-href="" data-stile-src=` + pixel + `>`},
		{"attributes", `<img src="` + pixel + `"` + strings.Repeat(" a=b", 1<<18) + `><p>`, `<img data-stile="marketing" data-href="" data-stile-src="` + pixel + `"` + strings.Repeat(" a=b", 1<<18) + `><p>`},
	} {
		t.Run(c.name, func(t *testing.T) {
			g := testGate(t, GateOptions{})
			for _, size := range []int{len(c.page), 1 << 20, 4099} {
				var cuts []int
				for at := size; at < len(c.page); at += size {
					cuts = append(cuts, at)
				}
				if got := gate(t, g, c.page, cuts...); got != c.want {
					t.Fatalf("in parts of %d: got %d bytes, want %d: %.200s", size, len(got), len(c.want), got)
				}
			}
		})
	}
}

// endless reads a page that never comes to its end within n bytes.
type endless struct {
	n    int
	what string
}

func (r *endless) Read(p []byte) (int, error) {
	if r.n <= 0 {
		return 0, io.EOF
	}
	n := 0
	for n < len(p) {
		n += copy(p[n:], r.what)
	}
	r.n -= n
	return n, nil
}

// The memory does not grow with the page, whatever it is made of.
func TestGateMemory(t *testing.T) {
	for _, c := range []struct{ name, begin, more string }{
		{"paragraphs", "", "<p class=x>text</p>"},
		{"one tag", "<img ", "abcdefgh"},
		{"one value", "<img src='", "abcdefgh"},
		{"attributes", "<img ", "a=b "},
		{"one script", "<script>", "abcdefgh"},
		{"one style", "<style>", "url(//www.facebook.com/tr)"},
		{"one comment in the head", "<head><!--", "abcdefgh"},
		{"a title", "<head><title>", "abcdefgh"},
		{"white space", "<head>", "        "},
		{"doctype", "<!doctype ", "abcdefgh"},
		{"SVG in SVG", "", "<svg>"},
		{"templates", "", "<template>"},
		{"noscript", "<noscript>", "<img a"},
		{"less than", "", "<"},
		{"dashes", "<!--", "-"},
		{"dashes in a script", "<script><!--", "-"},
	} {
		t.Run(c.name, func(t *testing.T) {
			const size, most = 16 << 20, 4 << 20
			w := testGate(t, GateOptions{Script: "/stile/shop.js"}).Writer(io.Discard, shop, "")
			if _, err := w.Write([]byte(c.begin)); err != nil {
				t.Fatal(err)
			}
			before := live()
			if _, err := io.CopyBuffer(struct{ io.Writer }{w}, &endless{size, c.more}, make([]byte, 64<<10)); err != nil {
				t.Fatal(err)
			}
			if grown := live() - before; grown > most {
				t.Errorf("%d bytes more are held after a page of %d", grown, size)
			}
			if err := w.Close(); err != nil {
				t.Fatal(err)
			}
		})
	}
}

func live() int64 {
	var m runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

// limited takes so many bytes and fails then.
type limited struct{ n int }

var errFull = errors.New("full")

func (l *limited) Write(p []byte) (int, error) {
	if l.n -= len(p); l.n < 0 {
		return 0, errFull
	}
	return len(p), nil
}

func TestGateFailedWrite(t *testing.T) {
	page := `<head></head><p>x<noscript><img src="https://www.facebook.com/tr"></noscript><script>fbq("//connect.facebook.net")</script><img src="https://www.facebook.com/tr">`
	g := testGate(t, GateOptions{Script: "/stile/shop.js"})
	for n := range len(page) {
		w := g.Writer(&limited{n}, shop, "")
		_, err := w.Write([]byte(page))
		if closed := w.Close(); !errors.Is(closed, errFull) || err != nil && !errors.Is(err, errFull) {
			t.Fatalf("with room for %d bytes: Write: %v, Close: %v", n, err, closed)
		}
		if err := w.Flush(); !errors.Is(err, errFull) {
			t.Fatalf("Flush after that: %v", err)
		}
	}
}

func TestGateNonce(t *testing.T) {
	var out bytes.Buffer
	w := testGate(t, GateOptions{Script: `https://consent.example/a&b.js`, Unknown: "marketing"}).Writer(&out, shop, `n"1`)
	page := `<head><iframe src="https://consent.example/stile/shop/banner"></iframe>`
	if _, err := w.Write([]byte(page)); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	if want := `<head><script src="https://consent.example/a&amp;b.js" nonce="n&#34;1"></script>` + strings.TrimPrefix(page, "<head>"); out.String() != want {
		t.Errorf("got %s", out.String())
	}
}

// The page's encoding stays within the first kilobyte, which is where browsers look for it.
func TestGateEncoding(t *testing.T) {
	g := testGate(t, GateOptions{Script: "/stile/shop.js"})
	const meta = "<meta charset=windows-1252>"
	for before := 900; before < 1100; before++ {
		begin := "<head><!--" + strings.Repeat("x", before-len("<head><!---->")) + "-->"
		page := begin + meta + "<title>x</title>"
		got := gate(t, g, page)
		want := "<head>" + stileTag + page[len("<head>"):]
		if end := len(begin) + len(meta); end <= 1024 && end+len(stileTag) > 1024 {
			want = begin + meta + stileTag + "<title>x</title>"
		}
		if got != want {
			t.Fatalf("the encoding at %d: %s", before, got)
		}
		properties(t, g, page, got, every(page))
	}
}

func TestGateWritesAtOnce(t *testing.T) {
	var out bytes.Buffer
	w := testGate(t, GateOptions{Script: "/stile/shop.js"}).Writer(&out, shop, "")
	for _, c := range []struct{ part, want string }{
		{"<html><head>", "<html><head>"},
		{"<link rel=icon href=x", ""},
		{">", stileTag + "<link rel=icon href=x>"},
		{"text <p>more", "text <p>more"},
		{"<script>a()", ""},
		{"</script>", "<script>a()</script>"},
		{"<script src=x>a()", "<script src=x>a()"},
	} {
		out.Reset()
		if _, err := w.Write([]byte(c.part)); err != nil {
			t.Fatal(err)
		}
		if err := w.Flush(); err != nil {
			t.Fatal(err)
		}
		if out.String() != c.want {
			t.Errorf("after %q came %q, want %q", c.part, out.String(), c.want)
		}
	}
}
