package e2e

import (
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"github.com/chromedp/chromedp/kb"
	"github.com/google/go-cmp/cmp"

	"github.com/stilehq/stile/server/account"
	"github.com/stilehq/stile/server/receipt"
)

// C10, F7: a visitor chooses, changes their mind, and asks; the officer finds the receipt, reads the words, exports,
// answers, erases, and finds all of it in the audit trail.
func TestAdminRecords(t *testing.T) {
	w := newWorld(t, settings{config: sharedCookie})
	w.user(account.Officer)
	w.user(account.Viewer)
	visitor := w.open().visit(shopURL + "/").decide(accept)
	first := visitor.record()
	visitor.openDialog().loads(func() { visitor.click("stile-dialog [value=none]") }).settle() // what runs ends with its page
	last := visitor.record()
	if last.ID == first.ID || last.Subject != first.Subject {
		t.Fatalf("the second choice is %s of %s, the first %s of %s", last.ID, last.Subject, first.ID, first.Subject)
	}
	visitor.load(policyURL)
	eval[bool](visitor, `(document.querySelector('#contact').value = 'eva@mail.example', document.querySelector('#details').value = 'All of it', true)`)
	visitor.loads(func() { visitor.say(`document.querySelector('form.q').requestSubmit()`) })
	asked := w.requestsKept()[0]

	b := w.open().as(account.Officer, "sites/shop/records")
	schemes := func(what string) {
		t.Helper()
		eval[bool](b, `(document.querySelectorAll('details').forEach(d => { d.open = !d.closest('.side') }), true)`)
		for _, scheme := range []string{"light", "dark"} {
			for _, screen := range screens {
				b.look(screen.width, screen.height, scheme).frame()
				b.axe(fmt.Sprintf("%s, %s, %s", what, scheme, screen.name), "main") // the frame is every page's
				if wide := eval[int](b, `document.documentElement.scrollWidth`); wide > int(screen.width) {
					t.Errorf("%s on a %s is %d wide", what, screen.name, wide)
				}
			}
		}
	}
	schemes("records")

	// By keyboard alone: the receipt is typed, and never stands in an address.
	eval[bool](b, `(document.querySelector('#receipt').focus(), true)`)
	b.press(first.ID.String())
	b.loads(func() { b.press(kb.Enter) })
	if got := eval[string](b, "location.href"); got != adminURL+"sites/shop/records" {
		t.Errorf("the receipt is looked up at %s", got)
	}
	if got := eval[[]string](b, `[...document.querySelectorAll('.history summary b')].map(e => e.textContent)`); !cmp.Equal(got, []string{"Rejected all", "Accepted all"}) {
		t.Errorf("the history is %q", got)
	}
	if got := eval[string](b, `document.querySelector('.words').innerText`); !strings.Contains(got, "Reject all") || !strings.Contains(got, "EasyDser") {
		t.Errorf("the words are %.300q", got)
	}
	b.await(`document.querySelector('.history [datetime]').dateTime.startsWith('20')`)
	schemes("a visitor's records")
	doc := eval[string](b, `fetch('/admin/sites/shop/records/receipt', {method: 'POST', body: new URLSearchParams({receipt: '`+first.ID.String()+`'})}).then(r => r.text())`)
	genuine, err := receipt.Check([]byte(doc), w.verifiers())
	if err != nil || len(genuine.Entries) != 2 {
		t.Errorf("the signed receipt: %v\n%.300s", err, doc)
	}

	// An export, with its progress and its file.
	b.load(adminURL + "sites/shop/records")
	b.loads(func() {
		b.say(`(document.querySelector('[name=format]').value = 'jsonl', document.querySelector('.fields').requestSubmit())`)
	})
	b.await(`document.querySelector('#export .badge')?.textContent == 'ready'`)
	schemes("an export")
	file := eval[string](b, `fetch(document.querySelector('#export a.button').href).then(r => r.text())`)
	if n := strings.Count(file, "\n"); n != 2 || !strings.Contains(file, first.ID.String()) || !strings.Contains(file, last.ID.String()) {
		t.Errorf("the export has %d lines:\n%s", n, file)
	}
	left, err := filepath.Glob(filepath.Join(w.folder, "exports", "*"))
	if err != nil || len(left) != 1 {
		t.Errorf("in the folder of exports are %v, %v", left, err)
	}
	b.loads(func() { b.say(`document.querySelector('form[action$=delete]').requestSubmit()`) })
	if left, _ := filepath.Glob(filepath.Join(w.folder, "exports", "*")); len(left) != 0 {
		t.Errorf("deleted, and there are %v", left)
	}

	// The request, from the list to the visitor's records, and its erasure.
	b.load(adminURL + "sites/shop/requests")
	schemes("requests")
	if got := eval[string](b, `document.querySelector('.badge').textContent`); got != "15 days left" {
		t.Errorf("the request has %q", got)
	}
	b.loads(func() { b.say(`document.querySelector('tbody a').click()`) })
	schemes("a request")
	b.loads(func() { b.say(`document.querySelector('form[action$="/records"]').requestSubmit()`) })
	b.loads(func() { b.say(`document.querySelector('[name=do][value=erase]').form.requestSubmit()`) })
	schemes("the confirmation")
	b.loads(func() { b.say(`document.querySelector('form.ask').requestSubmit()`) })
	if got := eval[string](b, `document.querySelector('main [role=status]').innerText`); !strings.HasPrefix(got, "2 records of the visitor: erased for good.") {
		t.Errorf("erased: %q", got)
	}
	if n := w.records(); n != 0 {
		t.Errorf("%d records are left", n)
	}
	if r := w.requestsKept()[0]; r.Note != "erased 2 records" || r.Answered.IsZero() {
		t.Errorf("the request is %+v", r)
	}

	b.load(adminURL + "sites/shop/trail")
	schemes("the audit trail")
	got := eval[[]string](b, `[...document.querySelectorAll('tbody tr')].map(r => [...r.cells].slice(1, 6).map(c => c.textContent.trim()).join(' | '))`)
	want := []string{
		"officer | Answered | 1 | request " + asked.Number + " | ",
		"officer | Erased | 2 | request " + asked.Number + " | 2-3",
		"officer | Looked at | 2 | before erase | 2-3",
		"officer | Looked at | 2 |  | 2-3",
		"officer | Looked at | 1 | request " + asked.Number + " | ",
		"officer | Exported | 2 | jsonl | 0-6",
		"officer | Exported | 2 | signed receipt | 2-3",
		"officer | Looked at | 2 |  | 2-3",
		"officer | Logged in all sites | 1 | by password | ",
		"An operator | Changed users all sites | 1 | made viewer, viewer, logs in by password | ",
		"An operator | Changed users all sites | 1 | made officer, officer, logs in by password | ",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("the trail (-want +got):\n%s", diff)
	}
	b.loads(func() {
		b.say(`(document.querySelector('[name=act]').value = 'erase', document.querySelector('.filters button').click())`)
	})
	if got := eval[string](b, "location.search"); got != "?act=erase&who=" {
		t.Errorf("the filter is in the address: %q", got)
	}
	if n := eval[int](b, `document.querySelectorAll('tbody tr').length`); n != 1 {
		t.Errorf("%d erasures", n)
	}

	// A marketer sees none of it.
	m := w.open()
	m.load(adminURL + "login?next=" + "%2Fadmin%2Fsites%2Fshop%2Frecords")
	m.loads(func() {
		m.say(fmt.Sprintf(`(document.querySelector('[name=name]').value = 'viewer', document.querySelector('[name=password]').value = %q, document.querySelector('.entrance').requestSubmit())`, adminPassword))
	})
	if got := eval[string](m, `document.querySelector('main').innerText`); !strings.Contains(got, "is for the role officer") {
		t.Errorf("a viewer reads %q", got)
	}
}

// Without script all is done by plain forms.
func TestAdminRecordsWithoutScript(t *testing.T) {
	w := newWorld(t, settings{config: sharedCookie})
	w.user(account.Officer)
	r := w.open().visit(shopURL + "/").decide(accept).record()
	b := w.open().as(account.Officer, "sites/shop/records").scripts(false)
	b.load(adminURL + "sites/shop/records")
	eval[bool](b, `(document.querySelector('#receipt').focus(), true)`)
	b.press(r.ID.String())
	b.loads(func() { b.press(kb.Enter) })
	if got := eval[string](b, `document.querySelector('h1').textContent`); got != "Records of a visitor" {
		t.Errorf("found: %q", got)
	}
	b.load(adminURL + "sites/shop/records")
	b.loads(func() { b.say(`document.querySelector('.fields').submit()`) })
	if got := eval[string](b, `location.pathname`); !strings.HasPrefix(got, "/admin/sites/shop/records/exports/") {
		t.Fatalf("the export is at %s", got)
	}
	for eval[string](b, `document.querySelector('#export .badge').textContent`) == "being written" {
		b.overtake(eval[string](b, "location.href")) // the page loads itself anew as well
	}
	if got := eval[string](b, `document.querySelector('#export').innerText`); !strings.Contains(got, "1 record, ") || !strings.Contains(got, "Download") {
		t.Errorf("the export says %q", got)
	}
}
