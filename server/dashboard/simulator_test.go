package dashboard

import (
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/PuerkitoBio/goquery"
	"github.com/google/uuid"

	"github.com/stilehq/stile/server/account"
	"github.com/stilehq/stile/server/consent"
	"github.com/stilehq/stile/server/keys"
	"github.com/stilehq/stile/server/ledger"

	"github.com/stilehq/stile/server/cookie"
)

// The table says what consent.Decide says of the same visit, put together here by hand.
func TestSimulatorDecidesNothing(t *testing.T) {
	k, _, _ := richDesk(t, richSite)
	k.site.History = []consent.Version{{Name: "2026-01-01"}, {Name: "2026-11-01", Material: true}}
	choose := func(form map[string][]string, change func(*consent.Choice)) *consent.Choice {
		c, _, err := consent.Parse(form, k.site.Site, nil)
		if err != nil {
			t.Fatal(err)
		}
		c.Time = now
		if change != nil {
			change(&c)
		}
		return &c
	}
	all := map[string][]string{"accept": {"all"}}
	for query, v := range map[string]consent.Visit{
		"":                                       {},
		"region=us":                              {Region: "US"},
		"region=US&gpc=1":                        {Region: "US", GPC: true},
		"region=US&crawler=1":                    {Region: "US", Crawler: true},
		"region=DE&choice=all":                   {Region: "DE", Choice: choose(all, nil)},
		"region=DE&choice=none":                  {Region: "DE", Choice: choose(map[string][]string{"accept": {"none"}}, nil)},
		"choice=some&category=marketing":         {Choice: choose(map[string][]string{"category": {"marketing"}}, nil)},
		"choice=some&service=pixel":              {Choice: choose(map[string][]string{"service": {"pixel"}}, nil)},
		"choice=some":                            {Choice: choose(nil, nil)},
		"choice=all&gpc=1":                       {GPC: true, Choice: choose(all, nil)},
		"choice=all&gpc=1&chosen_gpc=1":          {GPC: true, Choice: choose(all, func(c *consent.Choice) { c.GPC = true })},
		"choice=all&chosen=2026-01-01":           {Choice: choose(all, func(c *consent.Choice) { c.Time = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC) })},
		"choice=all&policy=2026-01-01":           {Choice: choose(all, func(c *consent.Choice) { c.Policy = "2026-01-01" })},
		"category=marketing&service=pixel":       {}, // a form sends all of its fields
		"choice=none&category=marketing&lang=de": {Choice: choose(map[string][]string{"accept": {"none"}}, nil)},
	} {
		v.Now = now
		d := consent.Decide(k.site.Site, v)
		doc := k.page(account.Viewer, "/admin/sites/shop/simulator?"+query)
		for i, verdict := range d.Tags {
			tag := k.site.Tags[i]
			_, word := verdictWords(verdict)
			if got, want := row(doc, tag.ID), []string{tag.Name, tag.Category, word, verdict.Because.String()}; !slices.Equal(got, want) {
				t.Errorf("%q: %q, want %q", query, got, want)
			}
			if !strings.HasPrefix(verdict.String(), word) {
				t.Errorf("%q: %s is called %s", query, verdict, word)
			}
		}
		says := said(doc.Find("main"))
		if want := "Under " + d.Regime.Name; !strings.Contains(says, want) {
			t.Errorf("%q: not %q", query, want)
		}
		if asked := strings.Contains(says, "is asked"); asked != d.Ask {
			t.Errorf("%q: asked is %v", query, asked)
		}
		if shown := doc.Find("iframe").Length() == 2; shown != (d.Ask || d.Tell) {
			t.Errorf("%q: the banner is shown: %v", query, shown)
		}
		a, err := k.site.Gate.Answer(&d, "en")
		if err != nil {
			t.Fatal(err)
		}
		if strings.Contains(query, "lang=de") {
			a, err = k.site.Gate.Answer(&d, "de")
		}
		if err != nil || doc.Find("pre.bytes").Text() != string(a.Identity) || !strings.Contains(says, a.ETag) || !strings.Contains(says, count(int64(len(a.Gzip)))+" bytes") {
			t.Errorf("%q: not the bytes, sizes and ETag of the answer", query)
		}
	}
}

// What was asked for is in the form again.
func TestSimulatorForm(t *testing.T) {
	k, _, _ := richDesk(t, richSite)
	doc := k.page(account.Viewer, "/admin/sites/shop/simulator?region=de&lang=de&gpc=1&choice=some&category=analytics&service=pixel&chosen=2026-11-01&chosen_gpc=1")
	for selector, want := range map[string]string{
		"#region": "DE", "select[name=lang] option[selected]": "de", "[name=gpc][checked]": "1", "[name=choice][checked]": "some",
		".simform [name=category][checked]": "analytics", ".simform [name=service][checked]": "pixel", ".simform [name=chosen]": "2026-11-01", "[name=chosen_gpc][checked]": "1",
	} {
		if found := doc.Find(selector); found.Length() != 1 || found.AttrOr("value", "") != want {
			t.Errorf("%s is %d times there, and %q, not %q", selector, found.Length(), found.AttrOr("value", ""), want)
		}
	}
	if doc.Find(".simform details[open]").Length() != 2 {
		t.Error("what was said in a closed part is not to be seen")
	}
}

// The frame's page has nothing that could load, store or send anything.
func TestBannerFrame(t *testing.T) {
	k, _, _ := richDesk(t, richSite)
	rec := k.ask(account.Viewer, http.MethodGet, "/admin/sites/shop/simulator/banner?region=DE")
	policy := rec.Header().Get("Content-Security-Policy")
	for _, want := range []string{
		"sandbox allow-scripts;", "default-src 'none'", "connect-src 'none'", "form-action 'none'", "frame-ancestors 'self'", " example.com/stile/shop/;", "img-src data:",
	} {
		if !strings.Contains(policy, want) {
			t.Errorf("the policy lacks %q: %s", want, policy)
		}
	}
	for _, not := range []string{"unsafe", "allow-same-origin", "https:", "*", "'self' "} {
		if strings.Contains(policy, not) {
			t.Errorf("the policy has %q: %s", not, policy)
		}
	}
	iframe := k.page(account.Viewer, "/admin/sites/shop/simulator?region=DE").Find("iframe").First()
	if got := iframe.AttrOr("sandbox", "none"); got != "allow-scripts" {
		t.Errorf("the frame's sandbox is %q", got)
	}
	if got := iframe.AttrOr("src", ""); got != "/admin/sites/shop/simulator/banner?region=DE" {
		t.Errorf("the frame shows %s", got)
	}
}

func TestPreviewLink(t *testing.T) {
	k, _, previews := richDesk(t, richSite)
	form := func(change ...string) url.Values {
		f := url.Values{
			"region": {"DE"}, "choice": {"some"}, "category": {"analytics"}, "page": {"https://www.shop.example/sale"}, "host": {"https://consent.shop.example"}, "hours": {"8"},
		}
		for i := 0; i < len(change); i += 2 {
			f.Set(change[i], change[i+1])
		}
		return f
	}
	rec := k.post(account.Viewer, "/admin/sites/shop/simulator", form())
	doc, err := goquery.NewDocumentFromReader(rec.Body)
	if err != nil || rec.Code != http.StatusOK {
		t.Fatalf("%d %v", rec.Code, err)
	}
	link, err := url.Parse(doc.Find("#preview [readonly]").AttrOr("value", ""))
	if err != nil || link.Scheme+"://"+link.Host+link.Path != "https://consent.shop.example/stile/shop/preview" {
		t.Fatalf("the link is %s", link)
	}
	got, err := previews.Read("shop", link.Query().Get("token"), now)
	if err != nil || got.Page != "https://www.shop.example/sale" || !got.Until.Equal(now.Add(8*time.Hour)) || got.Visit.Describe() != "a visitor from DE who accepted analytics" {
		t.Errorf("the link is of %+v (%v)", got, err)
	}
	for want, change := range map[string][]string{
		"is not of site shop":          {"page", "https://evil.example/"},
		"is no address":                {"page", "javascript:alert(1)"},
		"he page is missing":           {"page", ""},
		"a preview holds for 1 to 168": {"hours", "169"},
		"ours is":                      {"hours", "for ever"},
		"he consent host":              {"host", "ftp://consent.shop.example"},
		"are two sites to a browser":   {"host", "https://consent.example"},
		"is not one of this site":      {"category", "games"},
	} {
		rec := k.post(account.Viewer, "/admin/sites/shop/simulator", form(change...))
		if rec.Code != http.StatusBadRequest || !strings.Contains(rec.Body.String(), want) || strings.Contains(rec.Body.String(), "token=") {
			t.Errorf("%v: %d, not %q\n%s", change, rec.Code, want, rec.Body)
		}
	}
	k.d.Preview = nil
	if rec := k.post(account.Viewer, "/admin/sites/shop/simulator", form()); rec.Code != http.StatusBadRequest || strings.Contains(rec.Body.String(), "token=") {
		t.Errorf("switched off: %d", rec.Code)
	}
}

// ago is a choice of the past.
func (k *desk) ago(form map[string][]string, days int) *consent.Choice {
	k.t.Helper()
	c, _, err := consent.Parse(form, k.site.Site, nil)
	if err != nil {
		k.t.Fatal(err)
	}
	c.Receipt, c.Time = uuid.Must(uuid.NewV7()), now.AddDate(0, 0, -days)
	return &c
}

// answer is the page that an answer is.
func (k *desk) why(role account.Role, form url.Values) (*goquery.Document, int) {
	k.t.Helper()
	rec := k.post(role, "/admin/sites/shop/why", form)
	doc, err := goquery.NewDocumentFromReader(rec.Body)
	if err != nil {
		k.t.Fatal(err)
	}
	return doc, rec.Code
}

// verdicts are the lines of the doctor's table.
func verdicts(doc *goquery.Document) (lines []string) {
	return doc.Find("table.verdicts tbody tr").Map(func(_ int, s *goquery.Selection) string { return said(s) })
}

func TestWhyByCookie(t *testing.T) {
	k, choices, _ := richDesk(t, richSite)
	k.site.History = []consent.Version{{Name: "2026-01-01"}, {Name: "2026-11-01", Material: true}}
	c := k.ago(map[string][]string{"category": {"analytics"}}, 40)
	c.Policy = "2026-01-01"
	value, err := choices.Encode("shop", c)
	if err != nil {
		t.Fatal(err)
	}
	for _, pasted := range []string{value, "stile_shop=" + value, "Cookie: a=b; stile_shop=" + value + "; stile_shop_state=abc", "  " + value + "\n"} {
		doc, code := k.why(account.Viewer, url.Values{"subject": {pasted}, "region": {"de"}})
		if code != http.StatusOK {
			t.Fatalf("%d: %s", code, said(doc.Find("main")))
		}
		got := verdicts(doc)
		if want := "Google Analytics 4 analytics released analytics was accepted on 13 Oct 2026 withheld the policy changed materially after the choice of 13 Oct 2026"; got[0] != want {
			t.Errorf("%q, want %q", got[0], want)
		}
		if want := "Meta Pixel marketing withheld marketing was declined on 13 Oct 2026 withheld marketing was declined on 13 Oct 2026"; got[2] != want {
			t.Errorf("%q, want %q", got[2], want)
		}
		says := said(doc.Find("main"))
		for _, want := range []string{"13 Oct 2026, 09:30 UTC", "Accepted analytics", "Declined marketing", "Policy 2026-01-01", "Regime gdpr", c.Receipt.String(), "asked again: the policy changed"} {
			if !strings.Contains(says, want) {
				t.Errorf("the answer does not say %q", want)
			}
		}
		if strings.Contains(says, value) {
			t.Error("the page shows the cookie again")
		}
	}
	trail, err := k.ledger.Trail(t.Context(), "shop", -1, 10)
	if err != nil || len(trail) != 0 {
		t.Errorf("a cookie is no look at a record, and the audit trail has %v (%v)", trail, err)
	}
	// A choice that ended, and a tag that came after it.
	c = k.ago(map[string][]string{"accept": {"all"}}, 300)
	c.List = "older1"
	k.site.Lists = map[string][]string{"older1": {"ga4@analytics", "controller=EasyDser"}}
	if value, err = choices.Encode("shop", c); err != nil {
		t.Fatal(err)
	}
	doc, _ := k.why(account.Viewer, url.Values{"subject": {value}, "region": {"DE"}})
	got := verdicts(doc)
	if !strings.HasPrefix(got[0], "Google Analytics 4 analytics released") || !strings.Contains(got[0], "withheld the choice has expired") || !strings.HasPrefix(got[2], "Meta Pixel marketing not there it came to the site") {
		t.Errorf("%q", got)
	}
	if says := said(doc.Find("main")); !strings.Contains(says, "no longer in force") {
		t.Error(says)
	}
}

func TestWhyNot(t *testing.T) {
	k, choices, _ := richDesk(t, richSite)
	second := siteOf(t, strings.Replace(richSite, "site: shop", "site: outlet", 1))
	t.Cleanup(second.Gate.Close)
	k.d.Sites = func() []Site { return []Site{second, k.site} }
	encode := func(c *cookie.Codec, site string) string {
		t.Helper()
		value, err := c.Encode(site, k.ago(map[string][]string{"accept": {"all"}}, 1))
		if err != nil {
			t.Fatal(err)
		}
		return value
	}
	ring, err := keys.Ring{}.Open(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	strange, err := cookie.NewCodec(ring.Cookie)
	if err != nil {
		t.Fatal(err)
	}
	good := encode(choices, "shop")
	for name, c := range map[string]struct {
		form url.Values
		want string
	}{
		"nothing":        {url.Values{}, "Nothing was pasted"},
		"another site's": {url.Values{"subject": {encode(choices, "outlet")}}, "a choice on the site outlet"},
		"another key's":  {url.Values{"subject": {encode(strange, "shop")}}, "None of this Stile's keys signed this"},
		"half of one":    {url.Values{"subject": {good[:30]}}, "his is no cookie stile_shop, or a part of one"},
		"none":           {url.Values{"subject": {"what?"}}, "his is no cookie stile_shop"},
		"too long":       {url.Values{"subject": {strings.Repeat("a", 9000)}}, "his is no cookie stile_shop"},
		"a bad region":   {url.Values{"subject": {good}, "region": {"QX"}}, "use ISO 3166"},
		"a large form":   {url.Values{"subject": {strings.Repeat("a", 20000)}}, "larger than"},
	} {
		doc, code := k.why(account.Officer, c.form)
		says := said(doc.Find("main"))
		if code != http.StatusBadRequest || !strings.Contains(says, c.want) || len(verdicts(doc)) > 0 {
			t.Errorf("%s: %d, %s", name, code, says)
		}
	}
}

// A receipt leads to a record: for an officer, and never without an entry in the audit trail.
func TestWhyByReceipt(t *testing.T) {
	k, _, _ := richDesk(t, richSite)
	notices, err := k.site.Gate.Notices()
	if err != nil {
		t.Fatal(err)
	}
	store := func(c *consent.Choice, previous uuid.UUID) ledger.Record {
		t.Helper()
		r, err := k.ledger.Append(t.Context(), ledger.Record{
			ID: c.Receipt, Key: uuid.New(), Site: "shop", Previous: previous, Time: c.Time, Action: consent.Custom, Granted: c.Granted, Denied: c.Denied, Services: c.Services,
			Regime: "gdpr", Country: "DE", Language: "en", Policy: c.Policy, List: c.List, Notice: notices[0].Hash, Surface: "banner", Expiry: c.Time.AddDate(0, 6, 0),
		})
		if err != nil {
			t.Fatal(err)
		}
		return r
	}
	first := store(k.ago(map[string][]string{"accept": {"none"}}, 30), uuid.Nil)
	second := store(k.ago(map[string][]string{"category": {"marketing"}}, 3), first.ID)
	form := url.Values{"subject": {first.ID.String()}}

	doc, code := k.why(account.Viewer, form)
	if says := said(doc.Find("main")); code != http.StatusForbidden || !strings.Contains(says, "for the role officer") || len(verdicts(doc)) > 0 {
		t.Errorf("a viewer: %d, %s", code, says)
	}
	if trail, err := k.ledger.Trail(t.Context(), "shop", -1, 10); err != nil || len(trail) != 0 {
		t.Errorf("what was refused is in the audit trail: %v (%v)", trail, err)
	}

	doc, code = k.why(account.Officer, form)
	says := said(doc.Find("main"))
	if code != http.StatusOK {
		t.Fatalf("an officer: %d, %s", code, says)
	}
	for _, want := range []string{
		"The visitor chose again on 19 Nov 2026, 09:30 UTC", "Chosen 23 Oct 2026", "Declined analytics, marketing", "Regime gdpr", notices[0].Hash, "on the banner", "Decided for DE",
	} {
		if !strings.Contains(says, want) {
			t.Errorf("the answer does not say %q: %s", want, says)
		}
	}
	if got, want := verdicts(doc)[2], "Meta Pixel marketing withheld marketing was declined on 23 Oct 2026 released marketing was accepted on 19 Nov 2026"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
	trail, err := k.ledger.Trail(t.Context(), "shop", -1, 10)
	if err != nil || len(trail) != 1 || trail[0].Actor != "operator:ada" || trail[0].Act != ledger.ActShow || trail[0].Count != 2 ||
		trail[0].Leaves.String() != ledger.LeavesOf(first.Leaf, second.Leaf).String() {
		t.Errorf("the audit trail is %+v (%v)", trail, err)
	}
	doc, code = k.why(account.Officer, url.Values{"subject": {uuid.NewString()}})
	if says := said(doc.Find("main")); code != http.StatusBadRequest || !strings.Contains(says, "has no record of this receipt") {
		t.Errorf("a receipt that is not there: %d, %s", code, says)
	}
	// What cannot be noted is not shown.
	if err := k.ledger.Close(); err != nil {
		t.Fatal(err)
	}
	if doc, code = k.why(account.Officer, form); code < 500 || len(verdicts(doc)) > 0 {
		t.Errorf("without an audit trail: %d", code)
	}
}

// A record keeps the country alone: the regime says which part of it.
func TestRegionOf(t *testing.T) {
	site := &consent.Site{Regimes: []consent.Regime{
		{Name: "california", Regions: []string{"US-CA"}, Model: consent.OptOut}, {Name: "eea", Regions: []string{"EEA"}}, {Name: "other", Regions: []string{"*"}},
	}}
	for want, r := range map[string]ledger.Record{
		"US-CA": {Country: "US", Regime: "california"}, "US": {Country: "US", Regime: "other"}, "DE": {Country: "DE", Regime: "eea"},
		"": {Regime: "other"}, "FR": {Country: "FR", Regime: "gone"},
	} {
		if got := regionOf(site, &r); got != want {
			t.Errorf("%+v: %q, want %q", r, got, want)
		}
	}
}
