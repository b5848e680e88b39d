package event

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"
)

// What of a visitor a site may pass on beside the event itself.
const (
	ForwardIP    = "ip"
	ForwardAgent = "user_agent"
	ForwardQuery = "query" // of the page's address
)

// Delivery is an account at a vendor, and what the visitor allows it.
type Delivery struct {
	Vendor   string // id in the vendor library: ga4, meta-pixel or microsoft-uet
	Account  string
	Secret   string
	Endpoint string   // URL without a query
	TestCode string   // Meta's test_event_code, or ""
	Forward  []string // ForwardIP, ForwardAgent, ForwardQuery

	Granted         bool // the tag is released; else the vendor is told the denial
	UserData        bool // GA4: what points to the visitor may be used for advertising too
	Personalization bool // GA4: and for advertising that is made for them

	IP     string    // of the visitor, "" when it is not known
	Agent  string    // user agent of the visitor
	Nobody uuid.UUID // random, new for each event: stands in for a visitor whom nothing is known of
	Now    time.Time // the event's time where it has none
}

// Request is what is sent to a vendor, by POST.
type Request struct {
	URL    string
	Header http.Header
	Body   []byte
}

// Unfit is an event that a vendor does not take: why, for people.
type Unfit string

func (u Unfit) Error() string { return string(u) }

var vendors = map[string]func(*Delivery, *Event) (Request, error){
	"ga4": ga4, "meta-pixel": meta, "microsoft-uet": uet,
}

// Vendors are the vendors that events can be sent to, by id.
func Vendors() (ids []string) {
	for id := range vendors {
		ids = append(ids, id)
	}
	slices.Sort(ids)
	return ids
}

// Payload is the event as the vendor takes it. Errors: Unfit.
func (d Delivery) Payload(e Event) (Request, error) {
	build := vendors[d.Vendor]
	if build == nil {
		return Request{}, Unfit(fmt.Sprintf("%s takes no events from a server", d.Vendor))
	}
	if e.Time.IsZero() {
		e.Time = d.Now
	}
	if !d.Granted {
		// From here on nothing is there that could be let out.
		e, d.IP, d.Agent, d.Forward, d.UserData, d.Personalization = e.bare(), "", "", nil, false, false
	}
	if !slices.Contains(d.Forward, ForwardIP) {
		d.IP = ""
	}
	if !slices.Contains(d.Forward, ForwardAgent) {
		d.Agent = ""
	}
	e.Page = clean(e.Page, slices.Contains(d.Forward, ForwardQuery))
	return build(&d, &e)
}

// clean is a page's address without its fragment, and without its query unless that is let through.
func clean(page string, query bool) string {
	u, err := url.Parse(page)
	if err != nil {
		return ""
	}
	u.Fragment, u.RawFragment, u.User = "", "", nil
	if !query {
		u.RawQuery, u.ForceQuery = "", false
	}
	return u.String()
}

func request(address string, body any) (Request, error) {
	data, err := json.Marshal(body)
	if err != nil {
		return Request{}, fmt.Errorf("rendering an event: %w", err)
	}
	return Request{URL: address, Header: http.Header{"Content-Type": {"application/json"}}, Body: data}, nil
}

// hash is the SHA-256 of text, in lower-case hexadecimal digits; "" of nothing.
func hash(s string) string {
	if s == "" {
		return ""
	}
	sum := sha256.Sum256([]byte(s))
	return hex.EncodeToString(sum[:])
}

// one is a list of one, or none of nothing.
func one(s string) []string {
	if s == "" {
		return nil
	}
	return []string{s}
}

// splitEmail is an e-mail address in lower case, before and after its @.
func splitEmail(address string) (user, domain string) {
	address = strings.ToLower(strings.TrimSpace(address))
	i := strings.LastIndexByte(address, '@')
	return address[:max(i, 0)], address[i+1:]
}
