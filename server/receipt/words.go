package receipt

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/stilehq/stile/server/consent"
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

// maxNames bounds what is compared each with each: far more than a configuration may have.
const maxNames = 1000

func readWords(text []byte) (*words, error) {
	var notice struct{ View *words }
	if err := json.Unmarshal(text, &notice); err != nil {
		return nil, err
	}
	if notice.View == nil {
		return nil, errors.New("there is no View in it")
	}
	for _, c := range notice.View.Categories {
		if len(c.Services) > maxNames || len(notice.View.Categories) > maxNames {
			return nil, fmt.Errorf("there are more than %d purposes or vendors in it", maxNames)
		}
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
	words   *words   // empty where they are not known
	known   bool     // they are
	entries []string // of the vendor list, without the controller; nil where it is not known
	company string   // that is answerable, "" where it is not known
	contact string
}

const controllerEntry = "controller=" // consent.Site.Entries

// memory is the words and lists that records name, each read once.
type memory struct {
	texts map[string][]byte
	lists map[string][]string
	read  map[string]*words
	fits  map[string]bool
}

// shown is what a record's visitor was shown, as far as it is known. Words and lists that are not those that the record
// names are an error.
func (m *memory) shown(r *ledger.Record) (shown, error) {
	for _, names := range [][]string{r.Granted, r.Denied, r.Services, r.Refused} {
		if len(names) > maxNames {
			return shown{}, fmt.Errorf("record %s names more than %d purposes or vendors", r.ID, maxNames)
		}
	}
	w, err := m.words(r)
	if err != nil {
		return shown{}, err
	}
	s := shown{words: w, known: w != nil}
	if !s.known {
		s.words = &words{}
	}
	entries, err := m.list(r)
	if err != nil {
		return shown{}, err
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

func (m *memory) words(r *ledger.Record) (*words, error) {
	text, known := m.texts[r.Notice]
	if w := m.read[r.Notice]; w != nil || !known {
		return w, nil
	}
	if noticeHash(text) != r.Notice || !utf8.Valid(text) {
		return nil, fmt.Errorf("the words of record %s are not those that it names, %s", r.ID, r.Notice)
	}
	w, err := readWords(text)
	if err != nil {
		return nil, fmt.Errorf("the words %s of record %s cannot be read: %w", r.Notice, r.ID, err)
	}
	m.read[r.Notice] = w
	return w, nil
}

func (m *memory) list(r *ledger.Record) ([]string, error) {
	entries, known := m.lists[r.List]
	if !known || m.fits[r.List] {
		return entries, nil
	}
	if len(entries) > maxNames {
		return nil, fmt.Errorf("the vendor list of record %s has more than %d entries", r.ID, maxNames)
	}
	if consent.ListID(entries) != r.List {
		return nil, fmt.Errorf("the vendor list of record %s is not the one that it names, %s", r.ID, r.List)
	}
	m.fits[r.List] = true
	return entries, nil
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
