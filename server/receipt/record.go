package receipt

import (
	"fmt"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/stilehq/stile/server/consent"
	"github.com/stilehq/stile/server/ledger"
)

// Forms of times: a record's is kept to the millisecond.
const (
	milli  = "2006-01-02T15:04:05.000Z"
	second = "2006-01-02T15:04:05Z"
)

// States of consent (dpv:ConsentStatus).
const (
	given     = "dpv:ConsentGiven"
	refused   = "dpv:ConsentRefused"
	withdrawn = "dpv:ConsentWithdrawn"
)

// Own is the namespace of the terms that neither DPV nor Dublin Core has.
const own = "https://github.com/stilehq/stile#"

// context tells what the keys mean. It stands in the document: nothing is fetched to read one.
func context() object {
	iri := object{{"@type", "@id"}}
	ordered := object{{"@container", "@list"}}
	date := object{{"@type", "xsd:dateTime"}}
	return object{
		{"dct", "http://purl.org/dc/terms/"},
		{"dpv", "https://w3id.org/dpv#"},
		{"loc", "https://w3id.org/dpv/loc#"},
		{"rdf", "http://www.w3.org/1999/02/22-rdf-syntax-ns#"},
		{"stile", own},
		{"xsd", "http://www.w3.org/2001/XMLSchema#"},
		{"records", object{{"@id", "dpv:hasRecordOfActivity"}, {"@container", "@list"}}},
		{"dct:conformsTo", iri},
		{"dct:created", date},
		{"dct:replaces", iri},
		{"dpv:hasConsentStatus", iri},
		{"dpv:hasJurisdiction", iri},
		{"dpv:hasLegalBasis", iri},
		{"dpv:isExercisedAt", iri},
		{"dpv:isIndicatedAtTime", date},
		{"dpv:isIndicatedBy", iri},
		{"rdf:value", date},
		{"stile:entries", ordered},
		{"stile:proof", ordered},
	}
}

// place is where a site's pages are: "https://consent.shop.example/stile/shop".
type place string

func newPlace(address, site string) (place, error) {
	u, err := url.Parse(address)
	if err != nil || u.Scheme != "https" && u.Scheme != "http" || u.Host == "" || u.Scheme+"://"+u.Host != address {
		return "", fmt.Errorf("%q is no address of a consent host, such as https://consent.shop.example", address)
	}
	return place(address + "/stile/" + url.PathEscape(site)), nil
}

func (p place) notice(hash string) string { return string(p) + "/notice/" + url.PathEscape(hash) }

func (p place) policy(version string) string { return string(p) + "/policy/" + url.PathEscape(version) }

func urn(id uuid.UUID) string { return "urn:uuid:" + id.String() }

// Record27560 is one record in the terms of ISO/IEC TS 27560 and DPV, as in a receipt but without a proof: a JSON-LD object
// on a line of its own, ending in a newline. address is that of the consent host, "https://consent.shop.example". text is
// that of the record's notice and entries are those of its vendor list, each nil where it is not known.
func Record27560(address string, r *ledger.Record, text []byte, entries []string) ([]byte, error) {
	p, err := newPlace(address, r.Site)
	if err != nil {
		return nil, err
	}
	known := memory{make(map[string][]byte), make(map[string][]string), make(map[string]*words), make(map[string]bool)}
	if text != nil {
		known.texts[r.Notice] = text
	}
	if entries != nil {
		known.lists[r.List] = entries
	}
	s, err := known.shown(r)
	if err != nil {
		return nil, err
	}
	w := writer{flat: true}
	w.object(append(object{{"@context", context()}}, p.record(r, &s)...))
	w.out.WriteByte('\n')
	return w.out.Bytes(), nil
}

var country = regexp.MustCompile(`^[A-Z]{2}$`)

// record is an event of a visitor's chain. What is not known is left out.
func (p place) record(r *ledger.Record, s *shown) object {
	o := object{
		{"@id", urn(r.ID)},
		{"@type", "dpv:ConsentRecord"},
		{"dct:identifier", r.ID.String()},
	}
	if r.Previous != uuid.Nil {
		o.put("dct:replaces", urn(r.Previous))
	}
	o.put("stile:site", r.Site)
	o.put("stile:action", string(r.Action))
	o.put("dpv:isIndicatedAtTime", r.Time.UTC().Format(milli))
	o.put("dpv:isIndicatedBy", indicatedBy(r.Action))
	o.putText("dpv:hasIndicationMethod", r.Surface)
	if !r.Expiry.IsZero() {
		o.put("dpv:hasDuration", object{{"@type", "dpv:UntilTimeDuration"}, {"rdf:value", r.Expiry.UTC().Format(milli)}})
	}
	o.put("dpv:hasDataSubject", object{{"@id", urn(r.Subject)}, {"@type", "dpv:DataSubject"}})
	s.controller(&o)
	o.put("stile:granted", texts(r.Granted))
	o.put("stile:denied", texts(r.Denied))
	o.put("stile:services", texts(r.Services))
	o.put("stile:refused", texts(r.Refused))
	o.put("dpv:hasProcess", s.processes(r))
	o.putText("stile:regime", r.Regime)
	if country.MatchString(r.Country) {
		o.put("dpv:hasJurisdiction", "loc:"+r.Country)
	}
	o.putText("stile:country", r.Country)
	o.putText("dct:language", r.Language)
	o.put("dpv:hasNotice", p.notices(r))
	o.putText("stile:list", r.List)
	o.put("stile:gpc", r.GPC)
	o.putText("stile:age", r.Age)
	o.put("dpv:hasConsentControl", object{{"@type", "dpv:WithdrawConsent"}, {"dpv:isExercisedAt", string(p) + "/preferences"}})
	return o
}

func indicatedBy(a consent.Action) string {
	if a == consent.Guardian {
		return "dpv:GuardianOfDataSubject"
	}
	return "dpv:DataSubject"
}

// notices are where the exact words, and the policy that they were of, can be read again (C6).
func (p place) notices(r *ledger.Record) (l list) {
	if r.Notice != "" {
		n := object{{"@id", p.notice(r.Notice)}, {"@type", "dpv:ConsentNotice"}, {"dct:identifier", r.Notice}}
		n.putText("dct:language", r.Language)
		l = append(l, n)
	}
	return append(l, p.policies(r)...)
}

func (p place) policies(r *ledger.Record) (l list) {
	if r.Policy == "" {
		return nil
	}
	return list{object{{"@id", p.policy(r.Policy)}, {"@type", "dpv:PrivacyNotice"}, {"dct:identifier", r.Policy}}}
}

func (s *shown) controller(o *object) {
	if s.company == "" {
		return
	}
	c := object{{"@type", "dpv:DataController"}, {"dpv:hasName", s.company}}
	c.putText("dpv:hasContact", s.contact)
	o.put("dpv:hasDataController", c)
}

// processes are the categories, each with the words that the visitor read of it, what they decided, and who receives data.
func (s *shown) processes(r *ledger.Record) (l list) {
	for _, name := range s.categories(r) {
		c := s.words.category(name)
		purpose := object{{"@type", "dpv:Purpose"}, {"dct:identifier", name}}
		purpose.putText("dct:title", c.Title)
		purpose.putText("dct:description", c.Purpose)
		o := object{{"@type", "dpv:Process"}, {"dpv:hasPurpose", purpose}}
		o.putText("dpv:hasConsentStatus", status(r, name))
		switch {
		case !s.known:
		case c.Required:
			o.put("stile:model", "required")
		case s.words.OptOut || c.Running:
			o.put("stile:model", consent.OptOut.String())
		default:
			o.put("stile:model", consent.OptIn.String())
			o.put("dpv:hasLegalBasis", "dpv:ExpressedConsent")
		}
		if to := s.recipients(r, &c); len(to) > 0 {
			o.put("dpv:hasRecipient", to)
		}
		l = append(l, o)
	}
	return l
}

// status is what was decided on a category, "" where nothing was: it is required.
func status(r *ledger.Record, category string) string {
	switch {
	case slices.Contains(r.Granted, category):
		return given
	case !slices.Contains(r.Denied, category):
		return ""
	case r.Action == consent.Withdraw:
		return withdrawn
	}
	return refused
}

// recipients are the vendors of a category, as the record's list has them, each with what was decided on it: as part of its
// category, or by itself (B5). Where each recipient is an act of its own, the category covers none (F2).
func (s *shown) recipients(r *ledger.Record, c *category) (l list) {
	for _, e := range s.entries {
		id, in, _ := strings.Cut(e, "@")
		if in != c.Name {
			continue
		}
		v := c.service(id)
		o := object{{"@type", "dpv:Recipient"}, {"dct:identifier", id}}
		o.putText("dpv:hasName", v.Company)
		o.putText("dct:title", v.Name)
		o.putText("stile:policy", v.Policy)
		state := status(r, c.Name)
		switch {
		case state == "":
		case slices.Contains(r.Services, id):
			state = given
		case state == given && (s.words.Separate || slices.Contains(r.Refused, id)):
			state = refused
		}
		o.putText("dpv:hasConsentStatus", state)
		l = append(l, o)
	}
	return l
}

// moment is a time as a receipt has it.
func moment(text string) (time.Time, error) {
	t, err := time.Parse(second, text)
	if err != nil {
		return time.Time{}, fmt.Errorf("%q is no time such as 2026-11-23T12:00:00Z", text)
	}
	return t, nil
}
