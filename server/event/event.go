// Package event turns what happened on a site (somebody bought something, or searched) into what three vendors' servers
// take, with the visitor's consent in it: Google's Measurement Protocol, Meta's Conversions API, Microsoft's UET
// Conversions API. It is pure: no HTTP, no clock, no chance.
//
//	e, err := event.Parse(body)
//	request, err := event.Delivery{Vendor: "ga4", Account: "G-AB12CD34EF", Granted: true, ...}.Payload(e)
//
// # The event
//
//	{
//	  "name": "purchase",                    // see Names, or a name of one's own: [a-z][a-z0-9_]{0,39}
//	  "id": "order-1001",                    // 1 to 64 of A-Z a-z 0-9 . _ : -; the browser's own event has the same one
//	  "time": "2026-11-23T10:00:00Z",        // RFC 3339; now unless given
//	  "page": "https://www.shop.example/thanks",
//	  "value": 59.9, "currency": "EUR",      // ISO 4217; a purchase has both
//	  "order": "1001",
//	  "search": "wall clock",
//	  "items": [{"id": "sku-1", "name": "Clock", "category": "Home", "price": 29.95, "quantity": 2}],
//	  "user": {"email": "ann@shop.example", "phone": "+49 30 123456", "external_id": "c-77"},
//	  "client": {"ga": "GA1.1.123.456", "ga_session": "1700000000", "fbp": "fb.1...", "fbc": "fb.1...", "msclkid": "..."},
//	  "receipt": "0190..."                   // from a back end: the record of the visitor's choice
//	}
//
// Name and id are needed, the rest may be left out. From a page:
//
//	fetch("https://consent.shop.example/stile/shop/event", {
//	  method: "POST", credentials: "include", keepalive: true,
//	  headers: {"Content-Type": "application/json"},
//	  body: JSON.stringify({name: "add_to_cart", id: crypto.randomUUID(), value: 29.95, currency: "EUR"}),
//	})
//
// # What is sent
//
// E-mail addresses and phone numbers leave as SHA-256 of the form that the vendor asks for, never as they are; queries of
// addresses, the visitor's IP address and user agent do not leave at all unless Delivery says so. What is told to a vendor
// without a grant (Delivery.Granted is false) is the explicit denial and the event without anything that points to
// somebody: no hash, no cookie's value, no order, no id of the event, no words that were searched for. Where the protocol
// asks for a visitor all the same, it gets a number that is nobody's and that is there once.
package event

import (
	"slices"
	"time"

	"github.com/google/uuid"
)

// Names are the events that Stile knows how each vendor calls.
var Names = []string{
	"purchase", "add_to_cart", "begin_checkout", "view_item", "lead", "sign_up", "page_view", "search",
}

// Event is something that happened on a site.
type Event struct {
	Name     string
	ID       string    // idempotency key, and what the browser's own event is told from a copy by
	Time     time.Time // UTC; zero unless given
	Page     string    // http or https URL, "" unless given
	Value    *float64  // nil unless given, in Currency
	Currency string    // ISO 4217
	Order    string
	Search   string
	Items    []Item
	User     User
	Client   Client
	Receipt  uuid.UUID // zero unless given
}

// Item is a product in an event.
type Item struct {
	ID, Name, Category string
	Price              *float64 // of one, in Event.Currency; nil unless given
	Quantity           int      // at least 1
}

// User is what the site knows of a visitor: an e-mail address, a phone number with its country code (E.164), and the
// site's own id of them.
type User struct{ Email, Phone, ExternalID string }

// Client is what the vendors' own cookies and click ids say, and, from a back end, where the visitor's request came from.
type Client struct {
	GA        string // client id: of the cookie _ga the last two numbers
	GASession string // session id: of the cookie _ga_*
	FBP, FBC  string // cookies _fbp and _fbc
	MSCLKID   string // Microsoft's click id
	IP, Agent string
}

// bare is an event with nothing that points to somebody.
func (e Event) bare() Event {
	return Event{
		Name: e.Name, Time: e.Time, Page: e.Page, Value: e.Value, Currency: e.Currency, Items: slices.Clone(e.Items),
	}
}
