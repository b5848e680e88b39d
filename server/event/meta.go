package event

import (
	"cmp"
	"net/url"
	"strings"
)

// Meta, Conversions API. Documented (developers.facebook.com/docs/marketing-api/conversions-api, read in excerpts):
// POST /{version}/{pixel}/events?access_token; data of event_name, event_time in seconds, event_id (with event_name what the
// pixel's own event is told from a copy by), action_source, event_source_url, user_data, custom_data; em and ph are SHA-256;
// fbp, fbc, client_ip_address and client_user_agent are not hashed. Events of a website have the page's address and the user agent:
// without `forward: [user_agent]` Meta may refuse them, which is the site's to decide. From memory: that em is
// of a trimmed address in lower case, ph of a number's digits with country code and without +, that an empty
// data_processing_options says that use is not limited, test_event_code beside data, and that an event with no user_data at
// all is refused.
//
// There is no field that says denial: Limited Data Use is California's, not a refusal. So what is denied is not sent.

// metaNames are Meta's standard events.
var metaNames = map[string]string{
	"purchase": "Purchase", "add_to_cart": "AddToCart", "begin_checkout": "InitiateCheckout", "view_item": "ViewContent",
	"lead": "Lead", "sign_up": "CompleteRegistration", "page_view": "PageView", "search": "Search",
}

type metaBody struct {
	Data     []metaEvent `json:"data"`
	TestCode string      `json:"test_event_code,omitempty"`
}

type metaEvent struct {
	Name    string      `json:"event_name"`
	Time    int64       `json:"event_time"`
	ID      string      `json:"event_id"`
	Source  string      `json:"action_source"`
	Page    string      `json:"event_source_url"`
	User    metaUser    `json:"user_data"`
	Custom  *metaCustom `json:"custom_data,omitempty"`
	Options []string    `json:"data_processing_options"`
}

type metaUser struct {
	Email    []string `json:"em,omitempty"`
	Phone    []string `json:"ph,omitempty"`
	External []string `json:"external_id,omitempty"`
	FBP      string   `json:"fbp,omitempty"`
	FBC      string   `json:"fbc,omitempty"`
	IP       string   `json:"client_ip_address,omitempty"`
	Agent    string   `json:"client_user_agent,omitempty"`
}

func (u *metaUser) known() bool {
	return len(u.Email)+len(u.Phone)+len(u.External) > 0 || u.FBP+u.FBC+u.IP != ""
}

type metaCustom struct {
	Value    *float64   `json:"value,omitempty"`
	Currency string     `json:"currency,omitempty"`
	Order    string     `json:"order_id,omitempty"`
	Search   string     `json:"search_string,omitempty"`
	Type     string     `json:"content_type,omitempty"`
	Contents []metaItem `json:"contents,omitempty"`
	IDs      []string   `json:"content_ids,omitempty"`
	Items    int        `json:"num_items,omitempty"`
}

type metaItem struct {
	ID       string   `json:"id"`
	Quantity int      `json:"quantity"`
	Price    *float64 `json:"item_price,omitempty"`
}

func meta(d *Delivery, e *Event) (Request, error) {
	if !d.Granted {
		return Request{}, Unfit("Meta has no way to be told of a refusal")
	}
	if e.Page == "" {
		return Request{}, Unfit("Meta asks for the page's address with an event of a website: send page")
	}
	user := metaUser{
		Email: one(hash(strings.ToLower(e.User.Email))), Phone: one(hash(strings.TrimPrefix(e.User.Phone, "+"))), External: one(hash(e.User.ExternalID)),
		FBP: e.Client.FBP, FBC: e.Client.FBC, IP: d.IP, Agent: d.Agent,
	}
	if !user.known() {
		return Request{}, Unfit("Meta takes no event that it cannot match with anybody: send client.fbp, client.fbc or something of user")
	}
	event := metaEvent{
		Name: cmp.Or(metaNames[e.Name], e.Name), Time: e.Time.Unix(), ID: e.ID, Source: "website", Page: e.Page, User: user,
		Custom: metaContents(e), Options: []string{},
	}
	address := strings.TrimSuffix(d.Endpoint, "/") + "/" + url.PathEscape(d.Account) + "/events?" + url.Values{"access_token": {d.Secret}}.Encode()
	return request(address, metaBody{Data: []metaEvent{event}, TestCode: d.TestCode})
}

func metaContents(e *Event) *metaCustom {
	if e.Value == nil && e.Currency+e.Order+e.Search == "" && len(e.Items) == 0 {
		return nil
	}
	c := &metaCustom{Value: e.Value, Currency: e.Currency, Order: e.Order, Search: e.Search}
	for _, i := range e.Items {
		c.Type = "product"
		c.Contents = append(c.Contents, metaItem{ID: i.ID, Quantity: i.Quantity, Price: i.Price})
		c.IDs = append(c.IDs, i.ID)
		c.Items += i.Quantity
	}
	return c
}
