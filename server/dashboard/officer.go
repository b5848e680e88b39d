package dashboard

import (
	"cmp"
	"net/http"
	"net/url"
	"strings"
	"time"

	"golang.org/x/text/language"
	"golang.org/x/text/language/display"

	"github.com/stilehq/stile/server/consent"
	"github.com/stilehq/stile/server/export"
	"github.com/stilehq/stile/server/ledger"
	"github.com/stilehq/stile/server/rights"
)

// Officer is what the privacy officer's pages need.
type Officer struct {
	Exports *export.Jobs // nil: none can be made
	Forget  rights.Drop  // drops what waits to be sent; nil: nothing does

	// Sign makes the signed receipt of a visitor's records, newest first; none of them waits in a spool. nil: there is no
	// key to sign with.
	Sign func(r *http.Request, site string, records []ledger.Record) ([]byte, error)
}

// note puts into the audit trail what the user does, before they see it: what cannot be noted is not shown.
func (d *Dashboard) note(a *ask, act ledger.Act, records []ledger.Record, count int, detail string) error {
	var leaves []int64
	for i := range records {
		if leaf := records[i].Leaf; leaf >= 0 { // one in a spool has no number yet
			leaves = append(leaves, leaf)
		}
	}
	_, err := d.Ledger.Note(a.Context(), ledger.Audit{
		Time: d.Now(), Actor: ledger.Operator(a.user.Name), Act: act, Site: a.site.Name, Leaves: ledger.LeavesOf(leaves...), Count: count, Detail: detail,
	})
	return err
}

// sent reads the form that was sent. Nothing is read from the URL.
func sent(a *ask) (url.Values, error) {
	err := a.form()
	return a.PostForm, err
}

// at is a moment for people, and for machines.
type at struct{ Text, ISO string }

func stampOf(t time.Time) at {
	if t.IsZero() {
		return at{}
	}
	t = t.UTC()
	return at{t.Format("2 Jan 2006, 15:04") + " UTC", t.Format(time.RFC3339)}
}

func dayOf(t time.Time) at {
	t = t.UTC()
	return at{t.Format("2 Jan 2006"), t.Format(time.DateOnly)}
}

// term is one of a select.
type term struct{ Value, Name string }

var actions = []term{
	{string(consent.AcceptAll), "Accepted all"},
	{string(consent.RejectAll), "Rejected all"},
	{string(consent.Custom), "Chose in part"},
	{string(consent.Withdraw), "Took consent back"},
	{string(consent.Guardian), "A guardian chose"},
}

var surfaces = []term{
	{"banner", "on the banner"},
	{"preferences", "in the preferences"},
	{"page", "on the preferences page"},
	{"api", "by a program or an operator"},
	{"noscript", "on the banner without script"},
	{"mail", "by a link in a mail"},
}

var acts = []term{
	{string(ledger.ActShow), "Looked at"},
	{string(ledger.ActExport), "Exported"},
	{string(ledger.ActErase), "Erased"},
	{string(ledger.ActAnonymise), "Made anonymous"},
	{string(ledger.ActWithdraw), "Took consent back"},
	{string(ledger.ActAnswer), "Answered"},
	{string(ledger.ActVerify), "Verified the ledger"},
	{string(ledger.ActBackup), "Made a backup"},
	{string(ledger.ActRestore), "Restored a backup"},
	{string(ledger.ActLogin), "Logged in"},
	{string(ledger.ActRefuse), "Was refused a log-in"},
	{string(ledger.ActLogout), "Logged out"},
	{string(ledger.ActUser), "Changed users"},
	{string(ledger.ActShare), "Shared figures"},
	{string(ledger.ActRevoke), "Revoked a shared link"},
}

var kinds = []term{
	{"access", "See the data"}, {"copy", "Get a copy"}, {"correct", "Correct the data"}, {"delete", "Delete the data"},
}

// called is the name of a value, or else the value.
func called(list []term, value string) string {
	for _, o := range list {
		if o.Value == value {
			return o.Name
		}
	}
	return value
}

// country and tongue are names in English, or what is no code as it is.
func country(code string) string {
	if r, err := language.ParseRegion(code); err == nil && r.IsCountry() {
		return cmp.Or(display.English.Regions().Name(r), code)
	}
	return code
}

func tongue(code string) string {
	if t, err := language.Parse(code); err == nil {
		return cmp.Or(display.English.Languages().Name(t), code)
	}
	return code
}

// who is an actor for people.
func who(actor string) string {
	switch actor {
	case ledger.Visitor:
		return "The visitor"
	case ledger.Retention:
		return "Retention"
	case ledger.Somebody:
		return "Somebody"
	case ledger.Operator(""):
		return "An operator"
	}
	return strings.TrimPrefix(actor, ledger.Operator("")+":")
}

// dash is a text, or what stands for none.
func dash(text string) string { return cmp.Or(text, "–") }

// sentenceOf is a problem as a sentence; none stays none.
func sentenceOf(text string) string {
	if text == "" {
		return ""
	}
	return sentence(text) + "."
}
