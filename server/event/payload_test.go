package event

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"
	"pgregory.net/rapid"

	library "github.com/stilehq/stile/server/vendors"
)

var accounts = map[string]Delivery{
	"ga4":           {Account: "G-AB12CD34EF", Secret: "s3cret", Endpoint: "https://www.google-analytics.com/mp/collect"},
	"meta-pixel":    {Account: "123456789012345", Secret: "t0k&n", Endpoint: "https://graph.facebook.com/v24.0"},
	"microsoft-uet": {Account: "97267979", Secret: "b3arer", Endpoint: "https://capi.uet.microsoft.com/v1"},
}

func delivery(vendor string) Delivery {
	d := accounts[vendor]
	d.Vendor, d.Granted, d.UserData, d.Personalization = vendor, true, true, true
	d.IP, d.Agent = "192.0.2.7", "Agent/1.0"
	d.Nobody = uuid.MustParse("00000000-0000-4000-8000-0000075bcd15")
	d.Now = time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)
	return d
}

func purchase(t testing.TB) Event {
	t.Helper()
	e, err := Parse([]byte(whole))
	if err != nil {
		t.Fatal(err)
	}
	return e
}

// Which vendors can is said twice, as data for the configuration and as code.
func TestVendorsAreThoseOfTheLibrary(t *testing.T) {
	l, err := library.New()
	if err != nil {
		t.Fatal(err)
	}
	var want []string
	for _, v := range l.All() {
		if v.Server == nil {
			continue
		}
		want = append(want, v.ID)
		d := delivery(v.ID)
		d.Granted = false
		var unfit Unfit
		if _, err := d.Payload(Event{Name: "lead", ID: "1", Page: "https://www.shop.example/"}); errors.As(err, &unfit) == v.Server.Denied {
			t.Errorf("%s: it can be told of a denial: %v, and %v", v.ID, v.Server.Denied, err)
		}
		if v.Server.Endpoint != accounts[v.ID].Endpoint {
			t.Errorf("%s: the endpoint is %s", v.ID, v.Server.Endpoint)
		}
	}
	if !slices.Equal(want, Vendors()) {
		t.Errorf("the library has %v, the code %v", want, Vendors())
	}
}

func TestPayload(t *testing.T) {
	const (
		items = `[{"item_id":"sku-1","item_name":"Clock","item_category":"Home","price":29.95,"quantity":2},{"item_id":"sku-2","quantity":1}]`
		event = `"name":"purchase","params":{"session_id":"1700000001","engagement_time_msec":1,"page_location":"https://www.shop.example/thanks",
			"transaction_id":"1001","value":59.9,"currency":"EUR","search_term":"wall clock","items":` + items + `}`
		phone  = "c59475d96e9f01d7d18d06cfad84dd02333207f02c0c2c5663ef2782cda0390e" // Microsoft's own example
		ga4URL = "https://www.google-analytics.com/mp/collect?api_secret=s3cret&measurement_id=G-AB12CD34EF"
	)
	for _, test := range []struct {
		name, vendor string
		change       func(*Delivery)
		url, auth    string
		want         string
	}{
		{
			"ga4", "ga4", func(*Delivery) {}, ga4URL, "",
			`{"client_id":"1234567890.1700000000","user_id":"c-77","timestamp_micros":1795428000000000,
			  "consent":{"ad_user_data":"GRANTED","ad_personalization":"GRANTED"},
			  "user_data":{"sha256_email_address":["` + hash("john+shop@gmail.com") + `"],"sha256_phone_number":["` + phone + `"]},
			  "events":[{` + event + `}]}`,
		},
		{
			"ga4 without ads, all forwarded", "ga4",
			func(d *Delivery) {
				d.UserData, d.Personalization, d.Forward = false, false, []string{ForwardIP, ForwardAgent, ForwardQuery}
			},
			ga4URL, "",
			`{"client_id":"1234567890.1700000000","user_id":"c-77","timestamp_micros":1795428000000000,"ip_override":"192.0.2.7","user_agent":"Agent/1.0",
			  "consent":{"ad_user_data":"DENIED","ad_personalization":"DENIED"},
			  "events":[{` + strings.Replace(event, "/thanks", "/thanks?token=t0ken", 1) + `}]}`,
		},
		{
			"ga4 denied", "ga4", func(d *Delivery) { d.Granted, d.Forward = false, []string{ForwardIP, ForwardAgent, ForwardQuery} }, ga4URL, "",
			`{"client_id":"61728394.1795435200","timestamp_micros":1795428000000000,"consent":{"ad_user_data":"DENIED","ad_personalization":"DENIED"},
			  "events":[{"name":"purchase","params":{"page_location":"https://www.shop.example/thanks","value":59.9,"currency":"EUR","items":` + items + `}}]}`,
		},
		{
			"meta", "meta-pixel", func(*Delivery) {}, "https://graph.facebook.com/v24.0/123456789012345/events?access_token=t0k%26n", "",
			`{"data":[{"event_name":"Purchase","event_time":1795428000,"event_id":"order-1001","action_source":"website",
			  "event_source_url":"https://www.shop.example/thanks",
			  "user_data":{"em":["` + hash("jo.hn+shop@gmail.com") + `"],"ph":["` + hash("14255551234") + `"],"external_id":["` + hash("c-77") + `"],
			    "fbp":"fb.1.1700000000000.1234567890","fbc":"fb.1.1700000000000.AbCdEf"},
			  "custom_data":{"value":59.9,"currency":"EUR","order_id":"1001","search_string":"wall clock","content_type":"product",
			    "contents":[{"id":"sku-1","quantity":2,"item_price":29.95},{"id":"sku-2","quantity":1}],"content_ids":["sku-1","sku-2"],"num_items":3},
			  "data_processing_options":[]}]}`,
		},
		{
			"uet", "microsoft-uet", func(d *Delivery) { d.Forward = []string{ForwardAgent, ForwardIP} }, "https://capi.uet.microsoft.com/v1/97267979/events", "Bearer b3arer",
			`{"data":[{"eventType":"custom","eventId":"order-1001","eventName":"purchase","eventTime":1795428000,"eventSourceUrl":"https://www.shop.example/thanks",
			  "adStorageConsent":"G","userData":{"anonymousId":"00000000-0000-4000-8000-0000075bcd15","externalId":"` + hash("c-77") + `",
			    "em":"` + hash("john@gmail.com") + `","ph":"` + phone + `","msclkid":"dd4afcccb1c9a4cad9544dd7e5006",
			    "clientIpAddress":"192.0.2.7","clientUserAgent":"Agent/1.0"},
			  "customData":{"value":59.9,"currency":"EUR","transactionId":"1001","searchTerm":"wall clock","pageType":"purchase","ecommTotalValue":59.9,
			    "itemIds":["sku-1","sku-2"],"items":[{"id":"sku-1","name":"Clock","quantity":2,"price":29.95},{"id":"sku-2","quantity":1}]}}],
			  "continueOnValidationError":false}`,
		},
		{
			"uet denied", "microsoft-uet", func(d *Delivery) { d.Granted, d.Forward = false, []string{ForwardIP} }, "https://capi.uet.microsoft.com/v1/97267979/events", "Bearer b3arer",
			`{"data":[{"eventType":"custom","eventName":"purchase","eventTime":1795428000,"eventSourceUrl":"https://www.shop.example/thanks",
			  "adStorageConsent":"D","userData":{"anonymousId":"00000000-0000-4000-8000-0000075bcd15"},
			  "customData":{"value":59.9,"currency":"EUR","pageType":"purchase","ecommTotalValue":59.9,
			    "itemIds":["sku-1","sku-2"],"items":[{"id":"sku-1","name":"Clock","quantity":2,"price":29.95},{"id":"sku-2","quantity":1}]}}],
			  "continueOnValidationError":false}`,
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			d := delivery(test.vendor)
			test.change(&d)
			r, err := d.Payload(purchase(t))
			if err != nil {
				t.Fatal(err)
			}
			if r.URL != test.url || r.Header.Get("Authorization") != test.auth || r.Header.Get("Content-Type") != "application/json" {
				t.Errorf("sent to %s with %v", r.URL, r.Header)
			}
			if diff := cmp.Diff(decode(t, test.want), decode(t, string(r.Body))); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

func decode(t *testing.T, text string) (v any) {
	t.Helper()
	if err := json.Unmarshal([]byte(text), &v); err != nil {
		t.Fatalf("%v in %s", err, text)
	}
	return v
}

// Microsoft's documentation has the hash of this address.
func TestMicrosoftsOwnExample(t *testing.T) {
	const want = "ec81f3ac7b2b19675bab9d54cf416f9f18cff87c97da5cca82c0f0891bc40602"
	for _, address := range []string{"john@contoso.com", " J.o.h.n+news@Contoso.com "} {
		if got := uetEmail(address); got != want {
			t.Errorf("%s: %s", address, got)
		}
	}
}

// How each vendor calls the events.
func TestNames(t *testing.T) {
	want := map[string]string{
		"purchase": "purchase Purchase purchase", "add_to_cart": "add_to_cart AddToCart add_to_cart",
		"begin_checkout": "begin_checkout InitiateCheckout begin_checkout", "view_item": "view_item ViewContent view_item",
		"lead": "generate_lead Lead lead", "sign_up": "sign_up CompleteRegistration sign_up", "page_view": "page_view PageView pageLoad",
		"search": "search Search search", "wish_list": "wish_list wish_list wish_list",
	}
	for _, name := range append(slices.Clone(Names), "wish_list") {
		e := purchase(t)
		e.Name = name
		var got []string
		for _, vendor := range Vendors() {
			r, err := delivery(vendor).Payload(e)
			if err != nil {
				t.Fatal(err)
			}
			var body struct {
				Events []struct{ Name string }
				Data   []struct {
					EventName  string `json:"eventName"`
					EventType  string `json:"eventType"`
					Event_Name string `json:"event_name"` //nolint:revive // beside Microsoft's, which Go takes for the same without it
				}
			}
			if err := json.Unmarshal(r.Body, &body); err != nil {
				t.Fatal(err)
			}
			switch {
			case len(body.Events) > 0:
				got = append(got, body.Events[0].Name)
			case body.Data[0].EventType == "pageLoad":
				got = append(got, "pageLoad"+body.Data[0].EventName)
			default:
				got = append(got, body.Data[0].EventName+body.Data[0].Event_Name)
			}
		}
		if strings.Join(got, " ") != want[name] {
			t.Errorf("%s is %v, want %s", name, got, want[name])
		}
	}
}

func TestUnfit(t *testing.T) {
	e := Event{Name: "lead", ID: "1"}
	with := func(change func(*Event)) Event { c := e; change(&c); return c }
	for _, test := range []struct {
		name, vendor string
		event        Event
		want         string
	}{
		{"an old event", "ga4", with(func(e *Event) { e.Time = time.Date(2026, 11, 20, 11, 0, 0, 0, time.UTC) }), "older than 72 hours"},
		{"a name of Google's", "ga4", with(func(e *Event) { e.Name = "session_start" }), "keeps the name session_start"},
		{"a beginning of Google's", "ga4", with(func(e *Event) { e.Name = "ga_x" }), "keeps the name ga_x"},
		{"no page", "meta-pixel", e, "send page"},
		{"nobody", "meta-pixel", with(func(e *Event) { e.Page = "https://www.shop.example/" }), "cannot match"},
		{"no page either", "microsoft-uet", with(func(e *Event) { e.Name = "page_view" }), "send page"},
		{"another vendor", "hotjar", e, "takes no events"},
	} {
		var unfit Unfit
		if _, err := delivery(test.vendor).Payload(test.event); !errors.As(err, &unfit) || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: %v", test.name, err)
		}
	}
}

// A denied event never carries anything that points to somebody, whatever the event has and the site passes on.
func TestDeniedPointsToNobody(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		// Each value has a mark of its own, in digits that stand nowhere else.
		mark := func(label string) string { return "7" + rapid.StringMatching(`[0-9]{9}`).Draw(t, label) }
		e := Event{
			Name: rapid.SampledFrom(append(slices.Clone(Names), "wish_list")).Draw(t, "name"), ID: "id-" + mark("id"), Order: mark("order"), Search: mark("search"),
			Page: "https://www.shop.example/p?u=" + mark("query") + "#" + mark("fragment"), Value: new(1.5), Currency: "EUR", Items: []Item{{ID: "sku", Quantity: 1}},
			User:   User{Email: mark("email") + "@shop.example", Phone: "+" + mark("phone"), ExternalID: mark("external")},
			Client: Client{GA: mark("ga") + ".1", GASession: mark("session"), FBP: "fb.1.1." + mark("fbp"), FBC: "fb.1.1." + mark("fbc"), MSCLKID: mark("msclkid"), IP: "2001:db8::7", Agent: mark("agent")},
		}
		d := delivery(rapid.SampledFrom([]string{"ga4", "microsoft-uet"}).Draw(t, "vendor"))
		d.Granted, d.IP, d.Agent, d.Forward = false, "2001:db8::9", mark("agent of the request"), []string{ForwardIP, ForwardAgent, ForwardQuery}
		r, err := d.Payload(e)
		if err != nil {
			t.Fatal(err)
		}
		text := r.URL + fmt.Sprint(r.Header) + string(r.Body)
		parts := []string{
			e.ID, e.Order, e.Search, e.User.ExternalID, e.Client.GASession, e.Client.MSCLKID, e.Client.Agent, d.Agent, d.IP, e.Client.IP,
			strings.TrimSuffix(e.Client.GA, ".1"), e.Client.FBP, e.Client.FBC, strings.TrimPrefix(e.User.Phone, "+"), e.User.Email,
			hash(e.User.Email), hash(e.User.Phone), hash(strings.TrimPrefix(e.User.Phone, "+")), hash(e.User.ExternalID),
		}
		u, _ := url.Parse(e.Page)
		for _, part := range append(parts, u.RawQuery, u.Fragment) {
			if strings.Contains(text, part) {
				t.Errorf("%q is in %s", part, text)
			}
		}
		if strings.Contains(text, "GRANTED") || strings.Contains(text, `:"G"`) {
			t.Errorf("a denial says granted: %s", text)
		}
		if !strings.Contains(text, `"DENIED"`) && !strings.Contains(text, `"adStorageConsent":"D"`) {
			t.Errorf("the denial is not said: %s", text)
		}
	})
}

// E-mail addresses and phone numbers never leave as they are, nor what the site does not pass on.
func TestGrantedHashes(t *testing.T) {
	for _, vendor := range Vendors() {
		r, err := delivery(vendor).Payload(purchase(t))
		if err != nil {
			t.Fatal(err)
		}
		text := strings.ToLower(r.URL + fmt.Sprint(r.Header) + string(r.Body))
		for _, part := range []string{"@", "gmail", "4255551234", "555-1234", "t0ken", "192.0.2.7", "agent/1.0"} {
			if strings.Contains(text, part) {
				t.Errorf("%s: %q is in %s", vendor, part, text)
			}
		}
	}
}
