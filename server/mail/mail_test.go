package mail

import (
	"bytes"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"
	"github.com/gorilla/securecookie"
	"pgregory.net/rapid"

	"github.com/stilehq/stile/server/consent"
	"github.com/stilehq/stile/server/keys"
)

var (
	noon    = time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)
	receipt = uuid.MustParse("01938a5c-1c2d-7e3f-8a4b-5c6d7e8f9a0b")
	shop    = &consent.Site{Name: "shop", Mail: &consent.Mail{
		Category: "analytics", Links: []string{"https://www.shop.example", "https://*.shop.example", "http://localhost:8080"}, Log: 90 * 24 * time.Hour,
	}}
)

// key is a secret of 32 times the same byte.
func key(t testing.TB, b byte) keys.Secret {
	t.Helper()
	ring, err := keys.Parse([]string{strings.Repeat(fmt.Sprintf("%02x", b), 32)}, nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	return ring.Cookie[0]
}

func codec(t testing.TB, secrets ...byte) *Codec {
	t.Helper()
	var list []keys.Secret
	for _, b := range secrets {
		list = append(list, key(t, b))
	}
	c, err := NewCodec(list)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func mint(t testing.TB, c *Codec, l Link) string {
	t.Helper()
	token, err := c.Mint(shop, l, noon)
	if err != nil {
		t.Fatal(err)
	}
	return token
}

func TestRoundTrip(t *testing.T) {
	c := codec(t, 1)
	rapid.Check(t, func(t *rapid.T) {
		l := Link{
			Kind:    rapid.SampledFrom(kinds).Draw(t, "kind"),
			Message: rapid.StringMatching(`[A-Za-z0-9._-]{1,64}`).Draw(t, "message"),
			Expires: noon.Add(time.Duration(rapid.Int64Range(1, int64(LongestExpiry/time.Second)).Draw(t, "seconds")) * time.Second),
		}
		copy(l.Receipt[:], rapid.SliceOfN(rapid.ByteMin(1), 16, 16).Draw(t, "receipt"))
		if l.Kind == Click {
			l.To = "https://www.shop.example/" + rapid.StringOfN(rapid.SampledFrom([]rune("az09/?&=#.+-")), 0, 1900, -1).Draw(t, "to")
		}
		token, err := c.Mint(shop, l, noon)
		if err != nil {
			t.Fatal(err)
		}
		if url.PathEscape(token) != token || strings.Contains(token, "=") {
			t.Fatalf("%s has to be escaped in a path or a mail", token)
		}
		if n := len(token) - (len(l.To)*4/3+2)*4/3 - 4; n > 300 {
			t.Fatalf("%d bytes without the destination: %s", n, token)
		}
		want := l
		want.Site, want.Category = "shop", "analytics"
		got, err := c.Read("shop", l.Kind, token, l.Expires.Add(-time.Second))
		if diff := cmp.Diff(want, got); err != nil || diff != "" {
			t.Fatalf("%v (-minted +read)\n%s", err, diff)
		}
		if got, err := c.Read("shop", l.Kind, token, l.Expires); !errors.Is(err, ErrExpired) || !cmp.Equal(want, got) {
			t.Fatalf("at its end it is %+v, %v", got, err)
		}
		for _, kind := range kinds {
			if _, err := c.Read("shop", kind, token, noon); (err == nil) != (kind == l.Kind) {
				t.Fatalf("a token for %s, read for %s: %v", l.Kind, kind, err)
			}
		}
	})
}

func TestDefaultExpiry(t *testing.T) {
	c := codec(t, 1)
	got, err := c.Read("shop", Open, mint(t, c, Link{Kind: Open, Receipt: receipt, Message: "2026-11"}), noon)
	if err != nil || !got.Expires.Equal(noon.Add(DefaultExpiry)) {
		t.Errorf("it expires on %v, %v", got.Expires, err)
	}
}

// What is wrong is said, and nothing is signed.
func TestMintRefuses(t *testing.T) {
	c := codec(t, 1)
	good := Link{Kind: Click, Receipt: receipt, Message: "2026-11", To: "https://www.shop.example/sale"}
	mint(t, c, good)
	for say, spoil := range map[string]func(*Link){
		`kind is "read"`:         func(l *Link) { l.Kind = "read" },
		"receipt is missing":     func(l *Link) { l.Receipt = uuid.Nil },
		`message is ""`:          func(l *Link) { l.Message = "" },
		"letters, digits":        func(l *Link) { l.Message = "two\nlines" },
		"1 to 64":                func(l *Link) { l.Message = strings.Repeat("a", 65) },
		"over already":           func(l *Link) { l.Expires = noon },
		"more than 800 days":     func(l *Link) { l.Expires = noon.Add(LongestExpiry + time.Second) },
		"to is missing":          func(l *Link) { l.To = "" },
		"to goes with kind clic": func(l *Link) { l.Kind = Leave },
		"has the receipt in it":  func(l *Link) { l.To += "?r=" + strings.ToUpper(receipt.String()) },
	} {
		l := good
		spoil(&l)
		if token, err := c.Mint(shop, l, noon); err == nil || !strings.Contains(err.Error(), say) || strings.Contains(err.Error(), "\n") || token != "" {
			t.Errorf("%s: %q, %v", say, token, err)
		}
	}
	if _, err := c.Mint(&consent.Site{Name: "blog"}, good, noon); err == nil || !strings.Contains(err.Error(), "does not count its mails") {
		t.Errorf("for a site without mail: %v", err)
	}
	if _, err := NewCodec(nil); err == nil {
		t.Error("a codec without keys")
	}
}

func TestAllowed(t *testing.T) {
	for to, allowed := range map[string]bool{
		"https://www.shop.example":                              true,
		"https://www.shop.example/sale?a=b#c":                   true,
		"https://a.b.shop.example/":                             true,
		"HTTPS://WWW.Shop.Example/":                             true,
		"http://localhost:8080/":                                true,
		"https://shop.example/":                                 false, // the wildcard stands for subdomains
		"http://www.shop.example/":                              false,
		"https://www.shop.example:444/":                         false,
		"https://www.shop.example.evil.example/":                false,
		"https://evilshop.example/":                             false,
		"https://evil.example/?https://x.shop.example":          false,
		"https://evil.example#.shop.example":                    false,
		"https://evil.example\\.shop.example":                   false,
		"https://evil.example/\\@www.shop.example":              false,
		"https://www.shop.example@evil.example/":                false,
		"https://a:b@www.shop.example/":                         false,
		"https://evil.example%2f.shop.example/":                 false,
		"//www.shop.example/":                                   false,
		"/sale":                                                 false,
		"https:www.shop.example":                                false,
		"https:///www.shop.example":                             false,
		"javascript:alert(1)//.shop.example":                    false,
		"https://www.shop.example/\r\nSet-Cookie: a=b":          false,
		"https://www.shop.example/ sale":                        false,
		"https://www.shop.example/\u00e4":                       false,
		" https://www.shop.example/":                            false,
		"https://www.shop.example/" + strings.Repeat("a", 2000): false,
		"": false,
	} {
		err := Allowed(shop.Mail, to)
		if (err == nil) != allowed {
			t.Errorf("%q: %v", to, err)
		}
		if err != nil && strings.ContainsAny(err.Error(), "\r\n") {
			t.Errorf("%q: the error has lines: %v", to, err)
		}
	}
}

// Whatever is not a token that this server minted for that site and kind is none.
func TestReadRefuses(t *testing.T) {
	c := codec(t, 1)
	good := mint(t, c, Link{Kind: Open, Receipt: receipt, Message: "2026-11"})
	plain, err := payload{}.Serialize(&Link{Kind: Open, Receipt: receipt, Category: "analytics", Message: "2026-11", Expires: noon.Add(time.Hour)})
	if err != nil {
		t.Fatal(err)
	}
	sign := func(as string, payload []byte) string {
		s := securecookie.New(key(t, 1).Bytes(), nil)
		s.SetSerializer(securecookie.NopEncoder{})
		value, err := s.Encode(as, payload)
		if err != nil {
			t.Fatal(err)
		}
		return strings.TrimRight(value, "=")
	}
	if _, err := c.Read("shop", Open, sign("stile_shop.mail", plain), noon); err != nil {
		t.Fatalf("the test signs otherwise than the codec: %v", err)
	}
	newer := bytes.Clone(plain)
	newer[0]++
	for name, token := range map[string]string{
		"empty": "", "of another site": sign("stile_blog.mail", plain), "of a choice": sign("stile_shop", plain), "of a guardian": sign("stile_shop.guardian", plain),
		"with another key":   mint(t, codec(t, 2), Link{Kind: Open, Receipt: receipt, Message: "2026-11"}),
		"of a later version": sign("stile_shop.mail", newer), "cut short": sign("stile_shop.mail", plain[:len(plain)-1]), "with more behind": sign("stile_shop.mail", append(bytes.Clone(plain), 0)),
		"padded": good + "=", "with a line in it": good[:8] + "\n" + good[8:], "cut in the middle": good[:len(good)/2], "too long": good + strings.Repeat("A", 5000),
	} {
		if got, err := c.Read("shop", Open, token, noon); !errors.Is(err, ErrAltered) || !cmp.Equal(got, Link{}) {
			t.Errorf("a token %s is taken for %+v, %v", name, got, err)
		}
	}
	for i := range good {
		for _, with := range []byte{good[i] ^ 1, 'A', '_'} {
			altered := []byte(good)
			if altered[i] = with; string(altered) == good {
				continue
			}
			if got, err := c.Read("shop", Open, string(altered), noon); !errors.Is(err, ErrAltered) {
				t.Fatalf("with character %d altered it is taken for %+v, %v", i, got, err)
			}
		}
	}
}

func TestRotation(t *testing.T) {
	old := mint(t, codec(t, 1), Link{Kind: Open, Receipt: receipt, Message: "2026-11"})
	if _, err := codec(t, 3, 2, 1).Read("shop", Open, old, noon); err != nil {
		t.Errorf("after two rotations a mail that was sent is lost: %v", err)
	}
	if _, err := codec(t, 3, 2).Read("shop", Open, old, noon); err == nil {
		t.Error("a token is believed after its key was retired")
	}
}

func FuzzRead(f *testing.F) {
	c := codec(f, 1)
	good := mint(f, c, Link{Kind: Click, Receipt: receipt, Message: "2026-11", To: "https://www.shop.example/sale"})
	for _, seed := range []string{good, good + "=", good[1:], "", "a.b"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, token string) {
		if got, err := c.Read("shop", Click, token, noon); err == nil && token != good {
			t.Fatalf("%q is taken for %+v", token, got)
		}
	})
}

func FuzzPayload(f *testing.F) {
	good, err := payload{}.Serialize(&Link{Kind: Click, Receipt: receipt, Category: "analytics", Message: "m", To: "https://a.example", Expires: noon})
	if err != nil {
		f.Fatal(err)
	}
	f.Add(good)
	f.Fuzz(func(t *testing.T, src []byte) {
		var l Link
		if (payload{}).Deserialize(src, &l) != nil {
			return
		}
		again, err := payload{}.Serialize(&l)
		if err != nil || !bytes.Equal(src, again) {
			t.Fatalf("%x became %x (%v)", src, again, err)
		}
	})
}

func TestHuman(t *testing.T) {
	const chrome = "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/142.0.0.0 Safari/537.36"
	for name, tt := range map[string]struct {
		method, agent string
		header        [2]string
		want          Reason
	}{
		"a browser":             {agent: chrome},
		"Thunderbird":           {agent: "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Thunderbird/140.4.0"},
		"Apple Mail without it": {agent: "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko)"},
		"a browser's Sec-Fetch": {agent: chrome, header: [2]string{"Sec-Fetch-Purpose", "prefetch"}},
		"HEAD":                  {method: http.MethodHead, agent: chrome, want: Head},
		"Chrome's prefetch":     {agent: chrome, header: [2]string{"Sec-Purpose", "prefetch;prerender"}, want: Prefetch},
		"an older prefetch":     {agent: chrome, header: [2]string{"Purpose", "prefetch"}, want: Prefetch},
		"Firefox's prefetch":    {agent: chrome, header: [2]string{"X-Moz", "prefetch"}, want: Prefetch},
		"Safari's preview":      {agent: chrome, header: [2]string{"X-Purpose", "preview"}, want: Prefetch},
		"nobody":                {want: Nameless},
		"Apple's proxy":         {agent: "Mozilla/5.0", want: Apple},
		"Gmail's proxy":         {agent: "Mozilla/5.0 (Windows NT 5.1; rv:11.0) Gecko Firefox/11.0 (via ggpht.com GoogleImageProxy)", want: Gmail},
		"Gmail's prefetch":      {agent: "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/42.0.2311.135 Safari/537.36 Edge/12.246 Mozilla/5.0", want: Gmail},
		"Yahoo's proxy":         {agent: "YahooMailProxy; https://help.yahoo.com/kb/yahoo-mail-proxy-SLN28749.html", want: Yahoo},
		"Outlook":               {agent: "Mozilla/4.0 (compatible; MSIE 7.0; Windows NT 10.0; ms-office; MSOffice 16)", want: Outlook},
		"Office at a link":      {agent: "Microsoft Office/16.0 (Windows NT 10.0; Microsoft Outlook 16.0.17029; Pro)", want: Outlook},
		"Bing's preview":        {agent: chrome + " BingPreview/1.0b", want: Outlook},
		"Barracuda":             {agent: "Barracuda Sentinel (EE)", want: Scanner},
		"a library":             {agent: "python-requests/2.32.3", want: Program},
	} {
		r := httptest.NewRequest(http.MethodGet, "/", nil)
		if tt.method != "" {
			r.Method = tt.method
		}
		r.Header.Set("User-Agent", tt.agent)
		if tt.header[0] != "" {
			r.Header.Set(tt.header[0], tt.header[1])
		}
		if human, why := Human(r); why != tt.want || human != (tt.want == "") {
			t.Errorf("%s: %t, %q, want %q", name, human, why, tt.want)
		}
	}
	for _, m := range machines {
		if m.name != strings.ToLower(m.name) {
			t.Errorf("%s is never found: write it in lower case", m.name)
		}
	}
}
