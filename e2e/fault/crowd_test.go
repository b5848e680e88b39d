package fault

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
)

// fleet is the processes that visitors go to.
type fleet []*process

var noticeInScript = regexp.MustCompile(`[{,]h:"([A-Za-z0-9_-]{22})"`)

// notice is the hash of the words that a new visitor is shown.
func (f fleet) notice(t *testing.T) string {
	t.Helper()
	req, err := http.NewRequest(http.MethodGet, f[0].at(t.Context())+"/stile/shop.js", nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Accept-Encoding", "gzip")
	res, err := client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	zr, err := gzip.NewReader(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	script, err := io.ReadAll(zr)
	m := noticeInScript.FindSubmatch(script)
	if err != nil || m == nil {
		t.Fatalf("the script names no notice: %v, %.200s", err, script)
	}
	return string(m[1])
}

// crowd is visitors who choose, change and withdraw, one after the other each, until they are sent home.
type crowd struct {
	fleet  fleet
	book   *book
	notice string

	ctx  context.Context
	end  context.CancelFunc
	wait sync.WaitGroup
}

// visitors is how many choose at the same time.
const visitors = 24

// newCrowd lets visitors in, who go home at the test's end at the latest.
func newCrowd(t *testing.T, f fleet, b *book, rng *rand.Rand) *crowd {
	t.Helper()
	c := &crowd{fleet: f, book: b, notice: f.notice(t)}
	c.ctx, c.end = context.WithCancel(context.Background())
	for range visitors {
		v := &visitor{crowd: c, rng: rand.New(rand.NewPCG(rng.Uint64(), 0)), home: rng.IntN(len(f))}
		c.wait.Go(v.visit)
	}
	t.Cleanup(c.leave)
	return c
}

// leave returns when all have gone, with an answer or without.
func (c *crowd) leave() {
	c.end()
	c.wait.Wait()
}

// visitor is a browser, in which one person after another chooses.
type visitor struct {
	crowd  *crowd
	rng    *rand.Rand
	home   int // the process that they go to first
	person *person
	jar    map[string]string
}

func (v *visitor) visit() {
	v.renew()
	for v.crowd.ctx.Err() == nil {
		last := v.person.last()
		switch n := v.rng.IntN(100); {
		case last == nil || n < 65:
			v.send(v.draw())
		case n < 80:
			v.send(v.person.add(&act{path: "withdraw", form: url.Values{}, denied: optional}))
		case n < 90:
			v.send(last) // again
		case n < 95:
			v.erase()
		case n < 98:
			v.renew()
		}
	}
}

// receiptOf is kept in the jar beside the cookies: what the choice in them was acknowledged by.
const receiptOf = "receipt"

func (v *visitor) renew() {
	v.jar, v.person = map[string]string{}, v.crowd.book.meet()
}

var optional = []string{"analytics", "functional", "marketing"}

// draw is a choice of some of the categories, all or none.
func (v *visitor) draw() *act {
	a := &act{path: "choice", form: url.Values{}}
	for _, category := range optional {
		if v.rng.IntN(2) == 0 {
			a.granted = append(a.granted, category)
		} else {
			a.denied = append(a.denied, category)
		}
	}
	switch {
	case len(a.denied) == 0:
		a.form.Set("accept", "all")
	case len(a.granted) == 0:
		a.form.Set("accept", "none")
	default:
		a.form["category"] = a.granted
	}
	return v.person.add(a)
}

// send sends an act until it is answered, or the visitor gives up.
func (v *visitor) send(a *act) {
	for {
		at := v.home
		if v.rng.IntN(8) == 0 {
			at = v.rng.IntN(len(v.crowd.fleet))
		}
		a.sent++
		a.at[at], a.previous[v.jar[receiptOf]] = true, true
		lost := v.rng.IntN(20) == 0 // the answer, on its way
		answer, status, ok := v.post(at, a.path, a.body(v.crowd.notice), lost)
		switch {
		case ok && status == http.StatusOK:
			v.crowd.book.acknowledged(a, answer)
			if !lost {
				a.heard[answer.Receipt] = true
				v.jar[receiptOf] = answer.Receipt.String()
				return
			}
		case ok:
			v.crowd.book.refused(a.path, status, answer)
		}
		if v.crowd.ctx.Err() != nil || v.rng.IntN(3) == 0 {
			return
		}
	}
}

func (v *visitor) erase() {
	if v.jar[receiptOf] == "" { // nobody knows them
		return
	}
	v.person.state = doubtful
	answer, status, ok := v.post(v.rng.IntN(len(v.crowd.fleet)), "erase", "", false)
	switch {
	case ok && status == http.StatusOK:
		v.person.state = erased
	case ok:
		v.crowd.book.refused("erase", status, answer)
	}
	v.renew()
}

// answer is what a choice is answered.
type answer struct {
	Choice struct {
		Granted []string `json:"granted"`
		Denied  []string `json:"denied"`
	} `json:"choice"`
	Receipt uuid.UUID `json:"receipt"`
	Error   string    `json:"error"`
}

// post sends a form, and keeps the cookies of its answer. ok is false where there was no whole answer.
func (v *visitor) post(at int, path, body string, lost bool) (a answer, status int, ok bool) {
	address := v.crowd.fleet[at].at(v.crowd.ctx)
	if address == "" {
		return a, 0, false
	}
	req, err := http.NewRequest(http.MethodPost, address+"/stile/shop/"+path, strings.NewReader(body))
	if err != nil {
		v.crowd.book.wrong("%v", err)
		return a, 0, false
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	req.Header.Set("Sec-Fetch-Site", "same-origin")
	for name, value := range v.jar {
		if name != receiptOf {
			req.AddCookie(&http.Cookie{Name: name, Value: value})
		}
	}
	began := time.Now()
	res, err := client.Do(req)
	if err != nil {
		v.crowd.book.took(time.Since(began))
		return a, 0, false
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	v.crowd.book.took(time.Since(began))
	if err != nil {
		return a, 0, false
	}
	if err := json.NewDecoder(bytes.NewReader(text)).Decode(&a); err != nil {
		v.crowd.book.wrong("%s is answered by %d: %v, %s", path, res.StatusCode, err, text)
	}
	for _, c := range res.Cookies() {
		switch {
		case lost || !strings.HasPrefix(c.Name, "stile_"):
		case c.MaxAge < 0:
			delete(v.jar, c.Name)
		default:
			v.jar[c.Name] = c.Value
		}
	}
	return a, res.StatusCode, true
}

// person is who chooses, until they lose their cookies or have everything erased.
type person struct {
	acts  []*act
	state state
}

type state int

const (
	present state = iota
	doubtful
	erased
)

func (p *person) last() *act {
	if len(p.acts) == 0 {
		return nil
	}
	return p.acts[len(p.acts)-1]
}

func (p *person) add(a *act) *act {
	a.key, a.person, a.previous, a.at = uuid.New(), p, map[string]bool{}, map[int]bool{}
	a.heard = map[uuid.UUID]bool{}
	a.form.Set("id", a.key.String())
	p.acts = append(p.acts, a)
	return a
}

// act is one act of a person, and what they were told of it.
type act struct {
	key             uuid.UUID
	person          *person
	path            string
	form            url.Values
	granted, denied []string
	previous        map[string]bool // receipts that it was sent with, "" for none
	sent            int
	at              map[int]bool       // the processes that it was sent to
	receipts        []uuid.UUID        // acknowledged
	heard           map[uuid.UUID]bool // those of the receipts whose answer was not lost on its way
}

func (a *act) body(notice string) string {
	a.form.Set("notice", notice)
	a.form.Set("surface", "banner")
	return a.form.Encode()
}

// same tells whether an answer is of the act.
func (a *act) same(granted, denied []string) error {
	if !slices.Equal(granted, a.granted) || !slices.Equal(denied, a.denied) {
		return fmt.Errorf("granted are %q and denied %q, chosen were %q and %q", granted, denied, a.granted, a.denied)
	}
	return nil
}
