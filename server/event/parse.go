package event

import (
	"errors"
	"fmt"
	"net/mail"
	"net/netip"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"
	"golang.org/x/text/currency"
)

// Bounds of what is read.
const (
	MaxSize   = 64 << 10 // bytes of a body
	MaxEvents = 100      // in a list
	maxItems  = 100
	maxText   = 2000 // a URL or a user agent
	maxName   = 200  // what a person calls something
)

var (
	namePattern    = regexp.MustCompile(`^[a-z][a-z0-9_]{0,39}$`)
	idPattern      = regexp.MustCompile(`^[A-Za-z0-9._:-]{1,64}$`)
	gaPattern      = regexp.MustCompile(`^(?:GA[0-9]\.[0-9-]{1,8}\.)?([0-9]{1,20}\.[0-9]{1,20})$`)
	sessionPattern = regexp.MustCompile(`^[0-9]{1,20}$`)
	fbpPattern     = regexp.MustCompile(`^fb\.[0-9]\.[0-9]{1,16}\.[0-9]{1,20}(?:\.[A-Za-z0-9_-]{1,16})?$`)
	fbcPattern     = regexp.MustCompile(`^fb\.[0-9]\.[0-9]{1,16}\.[A-Za-z0-9._-]{1,600}$`)
	msclkidPattern = regexp.MustCompile(`^(?:_uet)?([0-9A-Za-z-]{16,64})$`)
	phonePattern   = regexp.MustCompile(`^\+[1-9][0-9]{6,14}$`)
	phoneNoise     = strings.NewReplacer("(0)", "", " ", "", "-", "", "(", "", ")", "", ".", "", "/", "")
)

// Parse reads one event. The error says where something is wrong and what to do, in one line.
func Parse(data []byte) (Event, error) {
	v, err := tree(data)
	if err != nil {
		return Event{}, err
	}
	r := &reader{}
	e := r.event(v, "")
	return e, r.err
}

// ParseList reads an event, or a list of 1 to MaxEvents of them, and tells which of the two it was. One that is wrong
// makes all of them wrong: the error begins with its place, "[2].name".
func ParseList(data []byte) (events []Event, list bool, err error) {
	v, err := tree(data)
	if err != nil {
		return nil, false, err
	}
	all, list := v.([]any)
	if !list {
		all = []any{v}
	} else if len(all) == 0 || len(all) > MaxEvents {
		return nil, true, fmt.Errorf("the list has %d events: 1 to %d", len(all), MaxEvents)
	}
	r := &reader{}
	for i, one := range all {
		path := ""
		if list {
			path = fmt.Sprintf("[%d]", i)
		}
		events = append(events, r.event(one, path))
	}
	if r.err != nil {
		return nil, list, r.err
	}
	return events, list, nil
}

func (r *reader) event(v any, path string) Event {
	f := r.object(v, path, "name", "id", "time", "page", "value", "currency", "order", "search", "items", "user", "client", "receipt")
	if f.m == nil {
		return Event{}
	}
	e := Event{Order: f.text("order", 64), Search: f.text("search", maxName), Value: f.amount("value")}
	e.Name, _ = f.form("name", namePattern, "purchase, or a name of your own, of at most 40 of a-z 0-9 _ that begins with a letter")
	e.ID, _ = f.form("id", idPattern, "order-1001: at most 64 of A-Z a-z 0-9 . _ : -")
	if e.Name == "" {
		f.fail("name", "it is missing: say what happened, purchase")
	}
	if e.ID == "" {
		f.fail("id", "it is missing: give each event one that no other has")
	}
	e.Time = f.time("time")
	e.Page = f.page("page")
	e.Currency = f.currency("currency")
	e.Items = f.items("items")
	e.User = f.user("user")
	e.Client = f.client("client")
	e.Receipt = f.uuid("receipt")
	f.worth(&e)
	return e
}

// worth checks that sums have a currency, and that a purchase has a sum.
func (f fields) worth(e *Event) {
	priced := e.Value != nil || slices.ContainsFunc(e.Items, func(i Item) bool { return i.Price != nil })
	switch {
	case e.Name == "purchase" && e.Value == nil:
		f.fail("value", "it is missing: a purchase has one")
	case priced && e.Currency == "":
		f.fail("currency", "it is missing: a sum has one")
	}
}

func (f fields) time(key string) time.Time {
	s := f.text(key, 40)
	if s == "" {
		return time.Time{}
	}
	t, err := time.Parse(time.RFC3339, s)
	if err != nil {
		f.fail(key, "%s is no time: it looks like 2026-11-23T10:00:00Z", quote(s))
	}
	return t.UTC()
}

func (f fields) page(key string) string {
	s := f.text(key, maxText)
	if s == "" {
		return ""
	}
	u, err := url.Parse(s)
	if err != nil || u.Scheme != "https" && u.Scheme != "http" || u.Hostname() == "" || u.User != nil || u.Opaque != "" {
		f.fail(key, "%s is not the address of a page: it looks like https://www.shop.example/thanks", quote(s))
		return ""
	}
	return s
}

func (f fields) currency(key string) string {
	s := f.text(key, 3)
	if s == "" {
		return ""
	}
	if unit, err := currency.ParseISO(s); err != nil || unit.String() != s {
		f.fail(key, "%s is no currency: write its three letters of ISO 4217, EUR", quote(s))
		return ""
	}
	return s
}

func (f fields) uuid(key string) uuid.UUID {
	s := f.text(key, 36)
	if s == "" {
		return uuid.Nil
	}
	id, err := uuid.Parse(s)
	if err != nil || len(s) != 36 || id == uuid.Nil {
		f.fail(key, "%s is no receipt: it is the UUID that the answer to a choice has", quote(s))
	}
	return id
}

func (f fields) items(key string) (items []Item) {
	for i, v := range f.list(key, maxItems) {
		of := f.r.object(v, fmt.Sprintf("%s[%d]", join(f.path, key), i), "id", "name", "category", "price", "quantity")
		item := Item{
			ID: of.text("id", 100), Name: of.text("name", maxName), Category: of.text("category", maxName),
			Price: of.amount("price"), Quantity: of.count("quantity", 1_000_000),
		}
		if item.ID == "" {
			of.fail("id", "it is missing: name the product as your feed does")
		}
		items = append(items, item)
	}
	return items
}

func (f fields) user(key string) User {
	of := f.r.object(f.m[key], join(f.path, key), "email", "phone", "external_id")
	u := User{Email: strings.TrimSpace(of.text("email", 254)), ExternalID: of.text("external_id", 100)}
	if a, err := mail.ParseAddress(u.Email); u.Email != "" && (err != nil || a.Address != u.Email) {
		of.fail("email", "this is no e-mail address") // which it is stays out of logs
	}
	if phone := of.text("phone", 40); phone != "" {
		u.Phone = phoneNoise.Replace(phone)
		if rest, zeros := strings.CutPrefix(u.Phone, "00"); zeros {
			u.Phone = "+" + rest
		}
		if !phonePattern.MatchString(u.Phone) {
			of.fail("phone", "this is no phone number with its country code: it looks like +49 30 123456")
		}
	}
	if strings.Contains(u.ExternalID, "@") {
		of.fail("external_id", "it looks like an e-mail address: send that as email, where it is hashed")
	}
	return u
}

func (f fields) client(key string) Client {
	of := f.r.object(f.m[key], join(f.path, key), "ga", "ga_session", "fbp", "fbc", "msclkid", "ip", "user_agent")
	c := Client{Agent: of.text("user_agent", maxText)}
	if _, g := of.form("ga", gaPattern, "the cookie _ga: GA1.1.1234567890.1700000000"); g != nil {
		c.GA = g[1]
	}
	c.GASession, _ = of.form("ga_session", sessionPattern, "1700000000, the number after GS1.1. in the cookie _ga_*")
	c.FBP, _ = of.form("fbp", fbpPattern, "the cookie _fbp: fb.1.1700000000000.1234567890")
	c.FBC, _ = of.form("fbc", fbcPattern, "the cookie _fbc: fb.1.1700000000000.AbCdEf")
	if _, g := of.form("msclkid", msclkidPattern, "dd4afcccb1c9a4cad9544dd7e5006"); g != nil {
		c.MSCLKID = g[1]
	}
	if ip := of.text("ip", 64); ip != "" {
		addr, err := netip.ParseAddr(ip)
		if err != nil || addr.Zone() != "" {
			of.fail("ip", "this is no IP address")
		}
		c.IP = addr.Unmap().String()
	}
	return c
}

// CheckTime tells whether an event's time is one that vendors take: not in the future, since clocks differ by minutes at
// most, and not older than a week (Meta's and Microsoft's bound).
func (e *Event) CheckTime(now time.Time) error {
	switch {
	case e.Time.IsZero(): // it is now
	case e.Time.After(now.Add(5 * time.Minute)):
		return errors.New("time: it is in the future")
	case e.Time.Before(now.Add(-week)):
		return errors.New("time: it is older than 7 days, which no vendor takes")
	}
	return nil
}

const week = 7 * 24 * time.Hour
