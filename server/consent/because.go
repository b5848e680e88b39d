package consent

import (
	"fmt"
	"slices"
	"time"
)

// Kind is why a category or a tag is released or withheld.
type Kind uint8

// The reasons there are.
const (
	NotChosen         Kind = iota // nothing was chosen yet: silence is refusal (A1)
	Required                      // strictly necessary
	Granted                       // its category was accepted
	GrantedAlone                  // it was accepted by itself
	NotObjected                   // opt-out regime, and the visitor has not objected
	NoticeOnly                    // the regime asks for information, not consent, for this category (F10)
	Declined                      // its category was declined
	Signal                        // Sec-GPC (D2)
	Expired                       // the choice is older than the site remembers (B10)
	Added                         // it came after the choice (B11)
	PolicyChanged                 // the policy changed materially after the choice
	Separate                      // the regime wants an act of its own for each recipient (F2)
	Needs                         // it needs a tag that is withheld
	ControllerChanged             // somebody else is answerable since the choice (F9)
	Crawler                       // nobody is there who could choose
)

var kinds = [...]string{
	"not_chosen", "required", "granted", "granted_alone", "not_objected", "notice_only", "declined", "signal", "expired",
	"added", "policy_changed", "separate", "needs",
	"controller_changed", "crawler",
}

func (k Kind) String() string { return kinds[k] }

// MarshalText renders the kind for JSON.
func (k Kind) MarshalText() ([]byte, error) { return []byte(k.String()), nil }

// Because is the reason of a Verdict.
type Because struct {
	Kind    Kind
	Subject string    // the category, tag or need that it is about
	At      time.Time // when the choice was made, if there was one
	Regime  string    // the regime's name, where it is the reason
}

// String is the reason in words, to follow "released: " or "withheld: ".
func (b Because) String() string {
	day := b.At.UTC().Format("2 Jan 2006")
	switch b.Kind {
	case Required:
		return b.Subject
	case Granted:
		return fmt.Sprintf("%s was accepted on %s", b.Subject, day)
	case GrantedAlone:
		return fmt.Sprintf("%s was accepted by itself on %s", b.Subject, day)
	case NotObjected:
		return fmt.Sprintf("%s is opt-out under %s, and was not declined", b.Subject, b.Regime)
	case NoticeOnly:
		return fmt.Sprintf("%s needs notice only under %s, and was not declined", b.Subject, b.Regime)
	case Declined:
		return fmt.Sprintf("%s was declined on %s", b.Subject, day)
	case Signal:
		return "Sec-GPC"
	case Expired:
		return "the choice has expired"
	case Added:
		return fmt.Sprintf("%s was added after the choice of %s", b.Subject, day)
	case PolicyChanged:
		return fmt.Sprintf("the policy changed materially after the choice of %s", day)
	case Separate:
		return fmt.Sprintf("%s asks for consent to %s by itself", b.Regime, b.Subject)
	case ControllerChanged:
		return fmt.Sprintf("somebody else is answerable since the choice of %s", day)
	case Crawler:
		return "a crawler cannot choose"
	case Needs:
		return fmt.Sprintf("it needs %s, which is withheld", b.Subject)
	}
	return fmt.Sprintf("%s was not chosen yet", b.Subject)
}

func released(k Kind, subject string) Verdict {
	return Verdict{Released: true, Because: Because{Kind: k, Subject: subject}}
}

func withheld(k Kind, subject string) Verdict {
	return Verdict{Because: Because{Kind: k, Subject: subject}}
}

func (v Verdict) at(t time.Time) Verdict { v.Because.At = t; return v }
func (v Verdict) in(r *Regime) Verdict   { v.Because.Regime = r.Name; return v }

// String is "released: ...", "restricted: ..." or "withheld: ...".
func (v Verdict) String() string {
	if v.Released {
		return "released: " + v.Because.String()
	}
	if v.Restricted {
		return "restricted: " + v.Because.String() + "; its consent mode is advanced, so that it is sent and told so"
	}
	return "withheld: " + v.Because.String()
}

// ParseKind is the kind of a name, as String gives it.
func ParseKind(name string) (Kind, bool) {
	i := slices.Index(kinds[:], name)
	return Kind(max(i, 0)), i >= 0 //nolint:gosec // there are few
}
