package receipt

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/stilehq/stile/server/ledger"
)

// words is what a visitor read, as far as a receipt repeats it: the View in a notice's text (gate.Notice), in the form
// that it had when it was kept. A form that changes gets a further reading here; this one stays.
type words struct {
	Lang       string
	Controller string
	Contact    string
	OptOut     bool
	Separate   bool
	Categories []category
}

type category struct {
	Name, Title, Purpose string
	Required             bool
	Running              bool // unless the visitor objects
	Services             []service
}

type service struct{ ID, Name, Company, Policy string }

func readWords(text []byte) (*words, error) {
	var notice struct{ View *words }
	if err := json.Unmarshal(text, &notice); err != nil {
		return nil, err
	}
	if notice.View == nil {
		return nil, fmt.Errorf("there is no View in it")
	}
	return notice.View, nil
}

// noticeHash is the hash by which a record names the words (ledger.Notice.Hash).
func noticeHash(text []byte) string {
	sum := sha256.Sum256(text)
	return base64.RawURLEncoding.EncodeToString(sum[:16])
}

func (w *words) category(name string) category {
	for _, c := range w.Categories {
		if c.Name == name {
			return c
		}
	}
	return category{Name: name}
}

func (c *category) service(id string) service {
	for _, s := range c.Services {
		if s.ID == id {
			return s
		}
	}
	return service{ID: id, Name: id}
}

// shown is what a record's visitor was shown.
type shown struct {
	words   *words   // empty where the text is not known
	known   bool     // it is
	entries []string // of the vendor list, without the controller; nil where it is not known
	company string   // that is answerable, "" where it is not known
	contact string
}

const controllerEntry = "controller=" // consent.Site.Entries

func newShown(r *ledger.Record, text []byte, entries []string) (shown, error) {
	s := shown{words: &words{}}
	if text != nil {
		if noticeHash(text) != r.Notice || !utf8.Valid(text) {
			return s, fmt.Errorf("the words of record %s are not those that it names, %s", r.ID, r.Notice)
		}
		w, err := readWords(text)
		if err != nil {
			return s, fmt.Errorf("the words %s of record %s cannot be read: %w", r.Notice, r.ID, err)
		}
		s.words, s.known = w, true
	}
	for _, e := range entries {
		if name, ok := strings.CutPrefix(e, controllerEntry); ok {
			s.company = name
			continue
		}
		s.entries = append(s.entries, e)
	}
	if s.words.Controller != "" {
		s.company, s.contact = s.words.Controller, s.words.Contact
	}
	return s, nil
}

// categories are those that the visitor read of, in that order, and then those that only the record or the list names.
func (s *shown) categories(r *ledger.Record) (names []string) {
	for _, c := range s.words.Categories {
		names = append(names, c.Name)
	}
	more := append(slices.Clone(r.Granted), r.Denied...)
	for _, e := range s.entries {
		if _, c, ok := strings.Cut(e, "@"); ok {
			more = append(more, c)
		}
	}
	for _, name := range more {
		if !slices.Contains(names, name) {
			names = append(names, name)
		}
	}
	return names
}
