package event

import (
	"net/url"
	"strings"
)

// Microsoft Advertising, UET Conversions API. Documented (learn.microsoft.com/advertising/guides/uet-conversion-api-integration,
// read in a stored copy): POST /v1/{tag}/events with a Bearer token; data of eventType pageLoad or custom, eventId, eventName,
// eventTime in seconds, eventSourceUrl (a pageLoad has one), adStorageConsent, userData, customData; em is SHA-256 of the
// address in lower case without the dots and the +alias of its user, ph that of the number in E.164, an external id is to be
// hashed; an anonymousId comes with every event. Without adStorageConsent an event counts as granted (REQUIREMENTS G), so it
// is always there; what is sent with D is not used for advertising.

// uetPages are the page types that an event stands for.
var uetPages = map[string]string{
	"purchase": "purchase", "add_to_cart": "cart", "begin_checkout": "cart", "view_item": "product", "search": "searchresults",
}

type uetBody struct {
	Data            []uetEvent `json:"data"`
	ContinueOnError bool       `json:"continueOnValidationError"`
}

type uetEvent struct {
	Type    string     `json:"eventType"`
	ID      string     `json:"eventId,omitempty"`
	Name    string     `json:"eventName,omitempty"`
	Time    int64      `json:"eventTime"`
	Page    string     `json:"eventSourceUrl,omitempty"`
	Consent string     `json:"adStorageConsent"` // never left out: that would be a grant
	User    uetUser    `json:"userData"`
	Custom  *uetCustom `json:"customData,omitempty"`
}

type uetUser struct {
	Anonymous string `json:"anonymousId"`
	External  string `json:"externalId,omitempty"`
	Email     string `json:"em,omitempty"`
	Phone     string `json:"ph,omitempty"`
	Click     string `json:"msclkid,omitempty"`
	IP        string `json:"clientIpAddress,omitempty"`
	Agent     string `json:"clientUserAgent,omitempty"`
}

type uetCustom struct {
	Value       *float64  `json:"value,omitempty"`
	Currency    string    `json:"currency,omitempty"`
	Transaction string    `json:"transactionId,omitempty"`
	Search      string    `json:"searchTerm,omitempty"`
	PageType    string    `json:"pageType,omitempty"`
	Total       *float64  `json:"ecommTotalValue,omitempty"`
	IDs         []string  `json:"itemIds,omitempty"`
	Items       []uetItem `json:"items,omitempty"`
}

type uetItem struct {
	ID       string   `json:"id"`
	Name     string   `json:"name,omitempty"`
	Quantity int      `json:"quantity"`
	Price    *float64 `json:"price,omitempty"`
}

func uet(d *Delivery, e *Event) (Request, error) {
	event := uetEvent{
		Type: "custom", ID: e.ID, Name: e.Name, Time: e.Time.Unix(), Page: e.Page, Consent: "D", Custom: uetContents(e),
		// The id is nobody's: it is Microsoft's sync pixel that would give the visitor one, and Stile sends none.
		User: uetUser{
			Anonymous: d.Nobody.String(), External: hash(e.User.ExternalID), Email: uetEmail(e.User.Email), Phone: hash(e.User.Phone),
			Click: e.Client.MSCLKID, IP: d.IP, Agent: d.Agent,
		},
	}
	if d.Granted {
		event.Consent = "G"
	}
	if e.Name == "page_view" {
		event.Type, event.Name, event.Custom = "pageLoad", "", nil
		if e.Page == "" {
			return Request{}, Unfit("Microsoft asks for the page's address with a page view: send page")
		}
	}
	r, err := request(strings.TrimSuffix(d.Endpoint, "/")+"/"+url.PathEscape(d.Account)+"/events", uetBody{Data: []uetEvent{event}})
	if err == nil {
		r.Header.Set("Authorization", "Bearer "+d.Secret)
	}
	return r, err
}

func uetContents(e *Event) *uetCustom {
	c := &uetCustom{Value: e.Value, Currency: e.Currency, Transaction: e.Order, Search: e.Search, PageType: uetPages[e.Name]}
	switch c.PageType {
	case "purchase", "cart":
		c.Total = e.Value
	}
	for _, i := range e.Items {
		c.IDs = append(c.IDs, i.ID)
		c.Items = append(c.Items, uetItem{ID: i.ID, Name: i.Name, Quantity: i.Quantity, Price: i.Price})
	}
	if c.Value == nil && c.Currency+c.Transaction+c.Search+c.PageType == "" && len(c.Items) == 0 {
		return nil
	}
	return c
}

func uetEmail(address string) string {
	if address == "" {
		return ""
	}
	user, domain := splitEmail(address)
	user, _, _ = strings.Cut(user, "+")
	return hash(strings.ReplaceAll(user, ".", "") + "@" + domain)
}
