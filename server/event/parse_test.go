package event

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"
)

const whole = `{
  "name": "purchase", "id": "order-1001", "time": "2026-11-23T11:00:00+01:00", "page": "https://www.shop.example/thanks?token=t0ken#top",
  "value": 59.9, "currency": "EUR", "order": "1001", "search": "wall clock",
  "items": [{"id": "sku-1", "name": "Clock", "category": "Home", "price": 29.95, "quantity": 2}, {"id": "sku-2"}],
  "user": {"email": " Jo.Hn+shop@Gmail.com ", "phone": "+1 (425) 555-1234", "external_id": "c-77"},
  "client": {"ga": "GA1.1.1234567890.1700000000", "ga_session": "1700000001", "fbp": "fb.1.1700000000000.1234567890",
    "fbc": "fb.1.1700000000000.AbCdEf", "msclkid": "_uetdd4afcccb1c9a4cad9544dd7e5006", "ip": "::ffff:192.0.2.7", "user_agent": "Agent/1.0"},
  "receipt": "0190a0b0-0000-7000-8000-000000000001"
}`

func TestParse(t *testing.T) {
	got, err := Parse([]byte(whole))
	if err != nil {
		t.Fatal(err)
	}
	want := Event{
		Name: "purchase", ID: "order-1001", Time: time.Date(2026, 11, 23, 10, 0, 0, 0, time.UTC), Page: "https://www.shop.example/thanks?token=t0ken#top",
		Value: new(59.9), Currency: "EUR", Order: "1001", Search: "wall clock",
		Items: []Item{{ID: "sku-1", Name: "Clock", Category: "Home", Price: new(29.95), Quantity: 2}, {ID: "sku-2", Quantity: 1}},
		User:  User{Email: "Jo.Hn+shop@Gmail.com", Phone: "+14255551234", ExternalID: "c-77"},
		Client: Client{
			GA: "1234567890.1700000000", GASession: "1700000001", FBP: "fb.1.1700000000000.1234567890", FBC: "fb.1.1700000000000.AbCdEf",
			MSCLKID: "dd4afcccb1c9a4cad9544dd7e5006", IP: "192.0.2.7", Agent: "Agent/1.0",
		},
		Receipt: uuid.MustParse("0190a0b0-0000-7000-8000-000000000001"),
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestParseErrors(t *testing.T) {
	with := func(more string) string { return `{"name":"lead","id":"1"` + more + `}` }
	for _, test := range []struct{ name, body, want string }{
		{"nothing", ``, "this is not JSON"},
		{"no JSON", `{"name":`, "this is not JSON, at byte 8"},
		{"NaN", with(`,"value":NaN`), "this is not JSON, at byte 33"},
		{"something behind it", with(``) + `{}`, "this is not JSON, at byte"},
		{"no UTF-8", "{\"name\":\"\xff\"}", "this is not UTF-8"},
		{"a list", `[]`, "this is a list: write an object"},
		{"null", `null`, "this is null: write an object"},
		{"no name", `{"id":"1"}`, "name: it is missing"},
		{"no id", `{"name":"lead"}`, "id: it is missing"},
		{"a name in capitals", `{"name":"Purchase","id":"1"}`, `name: "Purchase" is none: it looks like purchase`},
		{"a long name", `{"name":"` + strings.Repeat("a", 41) + `","id":"1"}`, "name: "},
		{"a long id", `{"name":"lead","id":"` + strings.Repeat("a", 65) + `"}`, "id: "},
		{"an unknown key", with(`,"valeu":1`), "valeu: unknown key: known here are name, id"},
		{"a key in capitals", with(`,"Value":1`), "Value: unknown key"},
		{"a key twice", with(`,"id":"2"`), "id: it is there twice"},
		{"a sum in quotes", with(`,"value":"1","currency":"EUR"`), "value: this is text: write a number"},
		{"null for a sum", with(`,"value":null`), "value: this is null: write a number"},
		{"a negative sum", with(`,"value":-1,"currency":"EUR"`), `value: "-1" is not within bounds`},
		{"a sum beyond all", with(`,"value":1e999,"currency":"EUR"`), `value: "1e999" is not within bounds`},
		{"a sum without a currency", with(`,"value":1`), "currency: it is missing"},
		{"a price without a currency", with(`,"items":[{"id":"a","price":1}]`), "currency: it is missing"},
		{"a purchase without a sum", `{"name":"purchase","id":"1"}`, "value: it is missing: a purchase has one"},
		{"no currency", with(`,"currency":"EUQ"`), `currency: "EUQ" is no currency`},
		{"a currency in small letters", with(`,"currency":"eur"`), `currency: "eur" is no currency`},
		{"no time", with(`,"time":"yesterday"`), `time: "yesterday" is no time`},
		{"a time as a number", with(`,"time":1700000000`), "time: this is a number: write text"},
		{"no page", with(`,"page":"javascript:alert(1)"`), "page: "},
		{"a page with a password", with(`,"page":"https://a:b@www.shop.example/"`), "page: "},
		{"an item without an id", with(`,"items":[{"id":"a"},{"name":"b"}]`), "items[1].id: it is missing"},
		{"an unknown key in an item", with(`,"items":[{"id":"a","size":1}]`), "items[0].size: unknown key"},
		{"half an item", with(`,"items":[{"id":"a","quantity":0.5}]`), "items[0].quantity: write a whole number from 1"},
		{"many items", with(`,"items":[` + strings.Repeat(`{"id":"a"},`, 100) + `{"id":"a"}]`), "items: it has 101 entries: at most 100"},
		{"an item that is none", with(`,"items":["a"]`), "items[0]: this is text: write an object"},
		{"too deep", with(`,"items":[[[[[1]]]]]`), "items[0][0][0]: this is nested too deep"},
		{"no e-mail address", with(`,"user":{"email":"Ann <ann@shop.example>"}`), "user.email: this is no e-mail address"},
		{"a phone number without a country", with(`,"user":{"phone":"030 123456"}`), "user.phone: this is no phone number with its country code"},
		{"an e-mail address as an id", with(`,"user":{"external_id":"ann@shop.example"}`), "user.external_id: it looks like an e-mail address"},
		{"a foreign client id", with(`,"client":{"ga":"ann@shop.example"}`), "client.ga: "},
		{"no address", with(`,"client":{"ip":"localhost"}`), "client.ip: this is no IP address"},
		{"no receipt", with(`,"receipt":"1"`), "receipt: "},
		{"an empty text", with(`,"order":" "`), "order: it is empty"},
		{"a control character", with(`,"order":"a\u0000"`), "order: \"a\\x00\" has a control character"},
		{"half a character", with(`,"order":"\ud800"`), "order: "},
	} {
		t.Run(test.name, func(t *testing.T) {
			_, err := Parse([]byte(test.body))
			if err == nil || !strings.HasPrefix(err.Error(), test.want) || strings.Contains(err.Error(), "\n") {
				t.Errorf("got %v, want %s", err, test.want)
			}
		})
	}
}

func TestParseList(t *testing.T) {
	if events, list, err := ParseList([]byte(`{"name":"lead","id":"1"}`)); len(events) != 1 || list || err != nil {
		t.Errorf("one: %v %v %v", events, list, err)
	}
	if events, list, err := ParseList([]byte(`[{"name":"lead","id":"1"},{"name":"search","id":"2"}]`)); len(events) != 2 || !list || err != nil {
		t.Errorf("two: %v %v %v", events, list, err)
	}
	long := "[" + strings.Repeat(`{"name":"lead","id":"1"},`, 100) + `{"name":"lead","id":"1"}]`
	for body, want := range map[string]string{
		`[]`: "the list has 0 events", long: "the list has 101 events", `[{"name":"lead","id":"1"},{"name":"lead"}]`: "[1].id: it is missing",
	} {
		if events, _, err := ParseList([]byte(body)); err == nil || !strings.HasPrefix(err.Error(), want) || events != nil {
			t.Errorf("got %v, want %s", err, want)
		}
	}
}

func TestCheckTime(t *testing.T) {
	now := time.Date(2026, 11, 23, 10, 0, 0, 0, time.UTC)
	if err := new(Event).CheckTime(now); err != nil {
		t.Errorf("without a time: %v", err)
	}
	for ago, good := range map[time.Duration]bool{0: true, -4 * time.Minute: true, -6 * time.Minute: false, week: true, week + time.Second: false} {
		if err := (&Event{Time: now.Add(-ago)}).CheckTime(now); (err == nil) != good {
			t.Errorf("%s ago: %v", ago, err)
		}
	}
}

// Whatever is read can be sent: no vendor's payload breaks, and a denial says that it is one.
func FuzzParse(f *testing.F) {
	f.Add([]byte(whole))
	f.Add([]byte(`[{"name":"page_view","id":"1","page":"http://[::1]/%zz"}]`))
	f.Add([]byte(`{"name":"search","id":"1","search":"<&>\u2028"}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		events, _, err := ParseList(data)
		if err != nil {
			if strings.ContainsAny(err.Error(), "\n\r") {
				t.Errorf("more than a line: %q", err)
			}
			return
		}
		for _, e := range events {
			for _, vendor := range Vendors() {
				for _, granted := range []bool{true, false} {
					d := delivery(vendor)
					d.Granted = granted
					r, err := d.Payload(e)
					if err == nil && !json.Valid(r.Body) {
						t.Errorf("%s: %s", vendor, r.Body)
					}
					if !granted && err == nil && (bytes.Contains(r.Body, []byte("GRANTED")) && !bytes.Contains(data, []byte("GRANTED")) || !bytes.Contains(r.Body, []byte(`"D`))) {
						t.Errorf("%s: the denial is not said: %s", vendor, r.Body)
					}
				}
			}
		}
	})
}
