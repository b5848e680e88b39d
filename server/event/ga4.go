package event

import (
	"cmp"
	"encoding/binary"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"time"
)

// Google Analytics 4, Measurement Protocol. Documented (developers.google.com/analytics/devguides/collection/protocol/ga4,
// read in excerpts): POST /mp/collect?measurement_id&api_secret; client_id, user_id, timestamp_micros, consent with
// ad_user_data and ad_personalization (GRANTED or DENIED, by a third party's schema of it), events of name and params; session_id and
// engagement_time_msec without which an event is not in the real-time reports; any 2xx says no more than that it came. From
// memory: ip_override, user_agent, the shape of user_data and how its values are written before they are hashed, the reserved names, and that an event may be 72 hours old.
//
// The protocol has no field for a denied analytics_storage: what says denial is the consent to ads, and a client_id that is
// a new one each time.

// ga4Names are Google's names of the events that it calls otherwise than Stile.
var ga4Names = map[string]string{"lead": "generate_lead"}

// ga4Reserved are names that Google sets itself and drops from others.
var ga4Reserved = []string{
	"ad_activeview", "ad_click", "ad_exposure", "ad_query", "ad_reward", "adunit_exposure", "app_clear_data", "app_exception",
	"app_install", "app_remove", "app_store_refund", "app_update", "app_upgrade", "dynamic_link_app_open",
	"dynamic_link_app_update", "dynamic_link_first_open", "error", "firebase_campaign", "first_open", "first_visit",
	"in_app_purchase", "notification_dismiss", "notification_foreground", "notification_open", "notification_receive",
	"os_update", "session_start", "user_engagement",
}

type ga4Body struct {
	ClientID  string     `json:"client_id"`
	UserID    string     `json:"user_id,omitempty"`
	Timestamp int64      `json:"timestamp_micros"`
	IP        string     `json:"ip_override,omitempty"`
	Agent     string     `json:"user_agent,omitempty"`
	Consent   ga4Consent `json:"consent"`
	UserData  *ga4User   `json:"user_data,omitempty"`
	Events    []ga4Event `json:"events"`
}

type ga4Consent struct {
	UserData        string `json:"ad_user_data"`
	Personalization string `json:"ad_personalization"`
}

type ga4User struct {
	Email []string `json:"sha256_email_address,omitempty"`
	Phone []string `json:"sha256_phone_number,omitempty"`
}

type ga4Event struct {
	Name   string    `json:"name"`
	Params ga4Params `json:"params"`
}

type ga4Params struct {
	Session     string    `json:"session_id,omitempty"`
	Engagement  int       `json:"engagement_time_msec,omitempty"`
	Page        string    `json:"page_location,omitempty"`
	Transaction string    `json:"transaction_id,omitempty"`
	Value       *float64  `json:"value,omitempty"`
	Currency    string    `json:"currency,omitempty"`
	Search      string    `json:"search_term,omitempty"`
	Items       []ga4Item `json:"items,omitempty"`
}

type ga4Item struct {
	ID       string   `json:"item_id"`
	Name     string   `json:"item_name,omitempty"`
	Category string   `json:"item_category,omitempty"`
	Price    *float64 `json:"price,omitempty"`
	Quantity int      `json:"quantity"`
}

// ga4Age is how old an event may be for Google.
const ga4Age = 72 * time.Hour

func ga4(d *Delivery, e *Event) (Request, error) {
	switch {
	case d.Now.Sub(e.Time) > ga4Age:
		return Request{}, Unfit("Google Analytics takes no event that is older than 72 hours")
	case slices.Contains(ga4Reserved, e.Name), strings.HasPrefix(e.Name, "ga_"), strings.HasPrefix(e.Name, "google_"), strings.HasPrefix(e.Name, "firebase_"):
		return Request{}, Unfit(fmt.Sprintf("Google Analytics keeps the name %s for itself", e.Name))
	}
	body := ga4Body{
		ClientID: cmp.Or(e.Client.GA, nobodysClient(d)), UserID: e.User.ExternalID, Timestamp: e.Time.UnixMicro(), IP: d.IP, Agent: d.Agent,
		Consent: ga4Consent{ga4Word(d.UserData), ga4Word(d.Personalization)},
	}
	if d.UserData {
		body.UserData = ga4Hashes(e.User) // it is for advertising, and so asks for that
	}
	body.Events = []ga4Event{{Name: cmp.Or(ga4Names[e.Name], e.Name), Params: ga4Parameters(e)}}
	return request(d.Endpoint+"?"+url.Values{"measurement_id": {d.Account}, "api_secret": {d.Secret}}.Encode(), body)
}

func ga4Word(granted bool) string {
	if granted {
		return "GRANTED"
	}
	return "DENIED"
}

func ga4Parameters(e *Event) ga4Params {
	p := ga4Params{Page: e.Page, Transaction: e.Order, Value: e.Value, Currency: e.Currency, Search: e.Search, Session: e.Client.GASession}
	if p.Session != "" {
		p.Engagement = 1 // the least that counts: how long the visitor looked at the page is not known here
	}
	if e.Name == "purchase" {
		p.Transaction = cmp.Or(e.Order, e.ID) // by which Google leaves out what it was told twice
	}
	for _, i := range e.Items {
		p.Items = append(p.Items, ga4Item(i))
	}
	return p
}

// ga4Hashes are an e-mail address in lower case, at Gmail without the dots that it ignores, and a phone number in E.164.
func ga4Hashes(u User) *ga4User {
	if u.Email == "" && u.Phone == "" {
		return nil
	}
	out := &ga4User{Phone: one(hash(u.Phone))}
	if u.Email != "" {
		user, domain := splitEmail(u.Email)
		if domain == "gmail.com" || domain == "googlemail.com" {
			user = strings.ReplaceAll(user, ".", "")
		}
		out.Email = one(hash(user + "@" + domain))
	}
	return out
}

// nobodysClient is a client id like those of the cookie _ga, which is a random number and a time.
func nobodysClient(d *Delivery) string {
	return fmt.Sprintf("%d.%d", binary.BigEndian.Uint32(d.Nobody[12:])>>1, d.Now.Unix())
}
