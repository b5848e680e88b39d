package server

import (
	"context"
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"

	"github.com/stilehq/stile/server/account"
	"github.com/stilehq/stile/server/consent"
	"github.com/stilehq/stile/server/dashboard"
	"github.com/stilehq/stile/server/preview"
	"github.com/stilehq/stile/server/simulate"
	"github.com/stilehq/stile/server/tally"
)

// stage is a world whose clock a test sets, reached under the consent host's name.
type stage struct {
	*world
	at atomic.Int64
}

func newStage(t *testing.T, change ...func(*Options)) *stage {
	t.Helper()
	s := &stage{}
	s.at.Store(time.Now().Truncate(time.Second).Unix())
	s.world = newWorld(t, append(change, func(o *Options) { o.Now = s.now })...)
	return s
}

func (s *stage) now() time.Time { return time.Unix(s.at.Load(), 0) }

// ask sends a request to the consent host; headers come in pairs.
func (s *stage) ask(method, path, body string, headers ...string) (*http.Response, string) {
	s.t.Helper()
	r := httptest.NewRequestWithContext(s.t.Context(), method, "http://consent.shop.example"+path, strings.NewReader(body))
	if method == http.MethodPost {
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	for i := 0; i < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	rec := httptest.NewRecorder()
	s.s.Handler().ServeHTTP(rec, r)
	return rec.Result(), rec.Body.String()
}

const previewedPage = "https://www.shop.example/sale"

// mint signs a preview of an hour.
func (s *stage) mint(v simulate.Visit) string {
	s.t.Helper()
	token, err := s.s.mintPreview("shop", preview.Link{Visit: v, Page: previewedPage, Until: s.now().Add(preview.Usual)})
	if err != nil {
		s.t.Fatal(err)
	}
	return token
}

// plain is the answer that a visit gets without a preview, decided by itself.
func (s *stage) plain(v consent.Visit, lang string) string {
	s.t.Helper()
	st := s.s.current.Load().sites["shop"]
	d := consent.Decide(st.Site, v)
	a, err := st.gate.Answer(&d, lang)
	if err != nil {
		s.t.Fatal(err)
	}
	return string(a.Identity)
}

func (s *stage) accepted() consent.Visit {
	st := s.s.current.Load().sites["shop"]
	choice, _, err := consent.Parse(map[string][]string{"accept": {"all"}}, st.Site, nil)
	if err != nil {
		s.t.Fatal(err)
	}
	choice.Time = s.now()
	return consent.Visit{Region: "DE", Choice: &choice, Now: s.now()}
}

var allOfDE = simulate.Visit{Region: "DE", Choice: simulate.All}

func TestPreview(t *testing.T) {
	s := newStage(t)
	token := s.mint(allOfDE)
	_, before := s.ask(http.MethodGet, "/stile/shop.js", "")

	resp, body := s.ask(http.MethodGet, "/stile/shop/preview?token="+url.QueryEscape(token), "", "Accept", "text/html")
	if resp.StatusCode != http.StatusOK || len(resp.Cookies()) > 0 {
		t.Fatalf("opening the link: status %d, cookies %v", resp.StatusCode, resp.Cookies())
	}
	for _, want := range []string{"a visitor from DE who accepted all", "https://www.shop.example", s.now().Add(time.Hour).UTC().Format("15:04 UTC")} {
		if !strings.Contains(body, want) {
			t.Errorf("the page of the link does not say %q:\n%s", want, body)
		}
	}
	resp, body = s.ask(http.MethodPost, "/stile/shop/preview", "token="+url.QueryEscape(token), "Sec-Fetch-Site", "same-origin", "X-Forwarded-Proto", "https")
	if resp.StatusCode != http.StatusOK || len(resp.Cookies()) != 1 {
		t.Fatalf("the button: status %d, cookies %v\n%s", resp.StatusCode, resp.Cookies(), body)
	}
	c := resp.Cookies()[0]
	if c.Name != "stile_shop_preview" || c.Path != "/stile/" || c.MaxAge != 3600 || !c.HttpOnly || !c.Secure || c.SameSite != http.SameSiteLaxMode || c.Domain != "" {
		t.Errorf("the cookie is %+v", c)
	}
	if !strings.Contains(body, `data-to="`+previewedPage+`"`) || !strings.Contains(body, `data-script="/stile/shop.js"`) {
		t.Errorf("the page does not lead on:\n%s", body)
	}
	nonce := regexp.MustCompile(`nonce="([^"]+)"`).FindStringSubmatch(body)[1]
	if policy := resp.Header.Get("Content-Security-Policy"); !strings.Contains(policy, "script-src 'nonce-"+nonce+"'") {
		t.Errorf("its policy is %q", policy)
	}

	shown := c.Name + "=" + c.Value
	want := s.plain(s.accepted(), "en")
	for _, cookies := range []string{shown, "stile_shop=nothing; " + shown, shown + "; stile_shop_state=abc", "other=1; " + shown + "; more=2"} {
		resp, body = s.ask(http.MethodGet, "/stile/shop.js", "", "Cookie", cookies)
		note, answer, _ := strings.Cut(body, ";\n")
		if resp.Header.Get("Cache-Control") != "private, no-store" || resp.Header.Get("Etag") != "" || len(resp.Cookies()) > 0 {
			t.Errorf("the answer may be kept, or sets cookies: %v", resp.Header)
		}
		if !strings.Contains(note, "a visitor from DE who accepted all") || answer != want {
			t.Errorf("with %s the note is %.200s and the answer\n%.200s, want\n%.200s", cookies, note, answer, want)
		}
	}
	if _, after := s.ask(http.MethodGet, "/stile/shop.js", ""); after != before {
		t.Error("who shows no preview gets other bytes than before")
	}
	resp, _ = s.ask(http.MethodGet, "/stile/shop/preview/end?to="+url.QueryEscape(previewedPage), "", "Cookie", shown)
	if len(resp.Cookies()) != 1 || resp.Cookies()[0].MaxAge >= 0 || resp.Cookies()[0].Path != "/stile/" || resp.Header.Get("Location") != previewedPage {
		t.Errorf("the end: %v, to %s", resp.Cookies(), resp.Header.Get("Location"))
	}
	if resp, _ = s.ask(http.MethodGet, "/stile/shop/preview/end?to=https%3A%2F%2Fevil.example%2F", "", "Cookie", shown); strings.Contains(resp.Header.Get("Location"), "evil") {
		t.Errorf("the end leads to %s", resp.Header.Get("Location"))
	}
}

// A link alone does nothing, and its button works on the consent host alone: a preview lets tags run that nobody consented to.
func TestPreviewTakesItsButton(t *testing.T) {
	s := newStage(t)
	token := url.QueryEscape(s.mint(allOfDE))
	for _, headers := range [][]string{
		{"Sec-Fetch-Site", "cross-site"}, {"Sec-Fetch-Site", "same-site"}, {"Origin", "https://www.shop.example"}, {"Origin", "https://evil.example"},
	} {
		if resp, _ := s.ask(http.MethodPost, "/stile/shop/preview", "token="+token, headers...); resp.StatusCode != http.StatusForbidden || len(resp.Cookies()) > 0 {
			t.Errorf("%v: status %d, %v", headers, resp.StatusCode, resp.Cookies())
		}
	}
}

func TestPreviewRefused(t *testing.T) {
	s := newStage(t)
	good := s.mint(allOfDE)
	snap := s.s.current.Load()
	choice := s.accepted().Choice
	cookie, err := snap.codec.Encode("shop", choice)
	if err != nil {
		t.Fatal(err)
	}
	other := *snap.sites["shop"].Site
	other.Name = "other"
	foreign, err := snap.previews.Mint(&other, preview.Link{Visit: allOfDE, Page: previewedPage, Until: s.now().Add(time.Hour)}, s.now())
	if err != nil {
		t.Fatal(err)
	}
	_, normal := s.ask(http.MethodGet, "/stile/shop.js", "")
	refused := func(what, token string, status int, says string) {
		t.Helper()
		for _, ask := range []func() (*http.Response, string){
			func() (*http.Response, string) {
				return s.ask(http.MethodGet, "/stile/shop/preview?token="+url.QueryEscape(token), "", "Accept", "text/html")
			},
			func() (*http.Response, string) {
				return s.ask(http.MethodPost, "/stile/shop/preview", "token="+url.QueryEscape(token), "Accept", "text/html")
			},
		} {
			resp, body := ask()
			if resp.StatusCode != status || !strings.Contains(body, says) || len(resp.Cookies()) > 0 || strings.Contains(body, "DE") {
				t.Errorf("%s: status %d, %v\n%s", what, resp.StatusCode, resp.Cookies(), body)
			}
		}
		if _, body := s.ask(http.MethodGet, "/stile/shop.js", "", "Cookie", "stile_shop_preview="+token); body != normal {
			t.Errorf("%s: not the normal answer, but %.300s", what, body)
		}
		if resp, body := s.ask(http.MethodPost, "/stile/shop/choice", "id="+uuid.NewString()+"&notice="+s.notice+"&accept=none", "Cookie", "stile_shop_preview="+token); resp.StatusCode != http.StatusOK {
			t.Errorf("%s: a choice is refused: %s", what, body)
		}
	}
	refused("none", "", http.StatusForbidden, "not a preview that this Stile made")
	refused("a forged one", good[:len(good)-6]+"AAAAA=", http.StatusForbidden, "not a preview that this Stile made")
	refused("another site's", foreign, http.StatusForbidden, "not a preview that this Stile made")
	refused("a choice", cookie, http.StatusForbidden, "not a preview that this Stile made")
	if resp, body := s.ask(http.MethodGet, "/stile/shop.js", "", "Cookie", "stile_shop="+good); resp.StatusCode != http.StatusOK || body != normal {
		t.Error("a preview is taken for a choice")
	}
	s.at.Add(int64(preview.Usual/time.Second) - 1)
	if _, body := s.ask(http.MethodGet, "/stile/shop.js", "", "Cookie", "stile_shop_preview="+good); body == normal {
		t.Error("a preview is over a second early")
	}
	s.at.Add(1)
	refused("one that is over", good, http.StatusGone, "the preview is over")
	for what, l := range map[string]preview.Link{
		"too long":         {Page: previewedPage, Until: s.now().Add(preview.Longest + time.Second)},
		"over":             {Page: previewedPage, Until: s.now()},
		"another's page":   {Page: "https://evil.example/", Until: s.now().Add(time.Hour)},
		"no page":          {Until: s.now().Add(time.Hour)},
		"a page to run":    {Page: "javascript:alert(1)//www.shop.example", Until: s.now().Add(time.Hour)},
		"a user's page":    {Page: "https://www.shop.example@evil.example/", Until: s.now().Add(time.Hour)},
		"an odd page":      {Page: "https://www.shop.example\\@evil.example/", Until: s.now().Add(time.Hour)},
		"no region":        {Visit: simulate.Visit{Region: "QX"}, Page: previewedPage, Until: s.now().Add(time.Hour)},
		"no such category": {Visit: simulate.Visit{Choice: simulate.Some, Categories: []string{"games"}}, Page: previewedPage, Until: s.now().Add(time.Hour)},
	} {
		if token, err := s.s.mintPreview("shop", l); err == nil {
			t.Errorf("%s is signed: %s", what, token)
		}
	}
	// The consent host of another domain gets no cookies from the page.
	r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "http://consent.example/stile/shop/preview?token="+url.QueryEscape(s.mint(allOfDE)), http.NoBody)
	rec := httptest.NewRecorder()
	s.s.Handler().ServeHTTP(rec, r)
	if rec.Code != http.StatusConflict || !strings.Contains(rec.Body.String(), "a browser sends it no cookie from there") {
		t.Errorf("across sites: %d %s", rec.Code, rec.Body)
	}
}

// Whatever is done in a preview is neither recorded nor counted.
func TestPreviewStoresNothing(t *testing.T) {
	s := newStage(t)
	s.choose("accept=all")
	records, before := s.records(), s.counted(tally.Filter{})
	cookie := "stile_shop_preview=" + s.mint(simulate.Visit{Region: "US", Choice: simulate.Rejected})
	for _, path := range []string{"choice", "withdraw", "seen", "erase", "request"} {
		resp, body := s.ask(http.MethodPost, "/stile/shop/"+path, "id="+uuid.NewString()+"&notice="+s.notice+"&accept=all", "Cookie", cookie, "Origin", "https://www.shop.example")
		if resp.StatusCode != http.StatusConflict || !strings.Contains(body, "shows a preview until") || len(resp.Cookies()) > 0 {
			t.Errorf("%s: status %d, %s", path, resp.StatusCode, body)
		}
	}
	s.ask(http.MethodGet, "/stile/shop.js", "", "Cookie", cookie)
	s.ask(http.MethodGet, "/stile/shop.js?s=abc", "", "Cookie", cookie)
	if n := s.records(); n != records {
		t.Errorf("there are %d records, there were %d", n, records)
	}
	if got := since(before, s.counted(tally.Filter{})); got != (tally.Figures{}) {
		t.Errorf("counted was %+v", got)
	}
}

// Nor do the pages of a preview tell of themselves.
func TestPreviewTellsNothing(t *testing.T) {
	s := newStage(t)
	s.write(siteText + "page_views: true\nsightings: 0.1\n")
	if err := s.s.Reload(t.Context()); err != nil {
		t.Fatal(err)
	}
	_, normal := s.ask(http.MethodGet, "/stile/shop.js", "")
	_, shown := s.ask(http.MethodGet, "/stile/shop.js", "", "Cookie", "stile_shop_preview="+s.mint(simulate.Visit{}))
	for _, part := range []string{"/view?o=", "/watch.js"} {
		if !strings.Contains(normal, part) || strings.Contains(shown, part) {
			t.Errorf("%s is in the normal answer: %v, and in a preview: %v", part, strings.Contains(normal, part), strings.Contains(shown, part))
		}
	}
}

// The simulator's bytes are those that a visitor gets who is as it says: through the real server, by a cookie of the codec.
func TestSimulatedBytes(t *testing.T) {
	for name, more := range map[string]string{"answers are counted": "", "page views are counted": "page_views: true\nsightings: 0.1\n"} {
		t.Run(name, func(t *testing.T) { simulatedBytes(t, more) })
	}
}

func simulatedBytes(t *testing.T, more string) {
	s := newStage(t)
	s.write(siteText + more)
	if err := s.s.Reload(t.Context()); err != nil {
		t.Fatal(err)
	}
	snap := s.s.current.Load()
	site := snap.sites["shop"]
	d, err := dashboard.New(dashboard.Options{
		Sites: func() []dashboard.Site { return snap.list() }, Answer: s.s.answerTo, Figures: s.s.figures, Ledger: s.s.ledger, Now: s.now, Log: s.s.log,
	})
	if err != nil {
		t.Fatal(err)
	}
	day := func(days int) time.Time { return s.now().UTC().AddDate(0, 0, -days).Truncate(24 * time.Hour) }
	choice := func(change func(*consent.Choice), form map[string][]string) *consent.Choice {
		c, _, err := consent.Parse(form, site.Site, nil)
		if err != nil {
			t.Fatal(err)
		}
		c.Time = s.now()
		if change != nil {
			change(&c)
		}
		return &c
	}
	all, none := map[string][]string{"accept": {"all"}}, map[string][]string{"accept": {"none"}}
	for query, v := range map[string]struct {
		choice  *consent.Choice
		headers []string
	}{
		"":                               {},
		"region=US":                      {headers: []string{"X-Region", "US"}},
		"region=us&gpc=1":                {headers: []string{"X-Region", "US", "Sec-GPC", "1"}},
		"region=DE&lang=de":              {headers: []string{"X-Region", "DE", "Accept-Language", "de"}},
		"crawler=1&region=US":            {headers: []string{"X-Region", "US", "User-Agent", "Googlebot/2.1"}},
		"choice=all":                     {choice: choice(nil, all)},
		"choice=all&crawler=1":           {choice: choice(nil, all), headers: []string{"User-Agent", "Googlebot/2.1"}},
		"choice=none&region=US":          {choice: choice(nil, none), headers: []string{"X-Region", "US"}},
		"choice=some&category=analytics": {choice: choice(nil, map[string][]string{"category": {"analytics"}})},
		"choice=some&service=pixel":      {choice: choice(nil, map[string][]string{"service": {"pixel"}})},
		"choice=all&gpc=1":               {choice: choice(nil, all), headers: []string{"Sec-GPC", "1"}},
		"choice=all&gpc=1&chosen_gpc=1":  {choice: choice(func(c *consent.Choice) { c.GPC = true }, all), headers: []string{"Sec-GPC", "1"}},
		"choice=all&policy=2020-01-01":   {choice: choice(func(c *consent.Choice) { c.Policy = "2020-01-01" }, all)},
		"choice=all&chosen=" + day(200).Format(time.DateOnly): {choice: choice(func(c *consent.Choice) { c.Time = day(200) }, all)},
	} {
		headers := v.headers
		if v.choice != nil {
			v.choice.Receipt = uuid.New()
			token, err := snap.codec.Encode("shop", v.choice)
			if err != nil {
				t.Fatal(err)
			}
			headers = append(headers, "Cookie", "stile_shop="+token)
		}
		_, want := s.ask(http.MethodGet, "/stile/shop.js", "", headers...)
		ctx := account.WithUser(context.Background(), account.User{Name: "ada", Role: account.Viewer})
		rec := httptest.NewRecorder()
		d.ServeHTTP(rec, httptest.NewRequestWithContext(ctx, http.MethodGet, "/admin/sites/shop/simulator/answer.js?"+query, http.NoBody))
		if rec.Code != http.StatusOK || rec.Body.String() != want {
			t.Errorf("%q: %d\n%s", query, rec.Code, cmp.Diff(want, rec.Body.String()))
		}
	}
}

// The cookie header is looked at once, whatever is in it.
func TestOneCookie(t *testing.T) {
	for header, want := range map[string]struct {
		value string
		sure  bool
	}{
		"":                                          {"", true},
		"stile_shop=a":                              {"a", true},
		"stile_shop_state=b; stile_shop=a":          {"a", true},
		"stile_shop=a; stile_shop=b":                {"", false},
		"stile_shop=a; stile_shop_preview=x":        {"", false},
		"stile_shop_preview=x":                      {"", false},
		"stile_shop_previews=x; stile_shop=a":       {"a", true},
		"stile_shopper=x; stile_shop=a":             {"a", true},
		"stile_shopper_preview=x; stile_shop=a; q=": {"a", true},
	} {
		r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/", http.NoBody)
		if header != "" {
			r.Header.Set("Cookie", header)
		}
		if value, sure := oneCookie(r, "stile_shop"); sure != want.sure || sure && value != want.value {
			t.Errorf("%q: %q, %v", header, value, sure)
		}
	}
}
