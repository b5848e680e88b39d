package ledger

import (
	"context"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"

	"github.com/stilehq/stile/server/consent"
)

// mailEvent is one of a visitor who granted analytics.
func mailEvent(of Record, kind string, at time.Time) MailEvent {
	return MailEvent{Site: of.Site, Message: "2026-11", Kind: kind, Subject: of.Subject, Category: "analytics", Time: at, Keep: 90 * 24 * time.Hour}
}

func mustMail(t *testing.T, l *Ledger, events ...MailEvent) {
	t.Helper()
	for _, e := range events {
		if err := l.Mailed(context.Background(), e); err != nil {
			t.Fatal(err)
		}
	}
}

func wantMails(t *testing.T, l *Ledger, site string, since time.Time, want ...MailCount) {
	t.Helper()
	got, err := l.MailReport(context.Background(), site, since)
	if diff := cmp.Diff(want, got); diff != "" || err != nil {
		t.Helper()
		t.Errorf("mails of %s: %v (-want +got)\n%s", site, err, diff)
	}
}

func testMails(t *testing.T, open opener) {
	ctx := context.Background()
	l := open(t)
	anna, ben, elsewhere := mustAppend(t, l, record("shop")), mustAppend(t, l, record("shop")), mustAppend(t, l, record("blog"))
	later := noon.Add(24 * time.Hour)
	other := mailEvent(ben, "click", noon)
	other.Message = "2026-10"
	mustMail(t, l,
		mailEvent(anna, "open", noon), mailEvent(anna, "open", noon.Add(time.Hour)), mailEvent(anna, "open", later),
		mailEvent(anna, "click", noon), mailEvent(anna, "click", noon), mailEvent(anna, "click", later),
		mailEvent(ben, "open", noon), mailEvent(elsewhere, "open", noon), other)
	both := []MailCount{{Message: "2026-10", Clicks: 1, Clickers: 1}, {Message: "2026-11", Opens: 3, Openers: 2, Clicks: 3, Clickers: 1}}
	wantMails(t, l, "shop", noon, both...)
	wantMails(t, l, "shop", later, MailCount{Message: "2026-11", Opens: 1, Openers: 1, Clicks: 1, Clickers: 1})
	wantMails(t, l, "news", noon)

	for name, spoil := range map[string]func(*MailEvent){
		"nobody's":                    func(e *MailEvent) { e.Subject = uuid.New() },
		"of another site's visitor":   func(e *MailEvent) { e.Subject = elsewhere.Subject },
		"of a category that declined": func(e *MailEvent) { e.Category = "marketing" },
	} {
		e := mailEvent(anna, "open", later.AddDate(0, 0, 1))
		spoil(&e)
		if err := l.Mailed(ctx, e); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		wantMails(t, l, "shop", noon, both...)
	}
	for _, e := range []MailEvent{{}, mailEvent(anna, "leave", noon)} {
		if err := l.Mailed(ctx, e); err == nil {
			t.Errorf("%+v was kept", e)
		}
	}

	// A choice that still grants the category leaves the events as they are; one that does not takes them away, for good.
	still := record("shop")
	still.Previous, still.Granted = anna.ID, []string{"analytics", "marketing"}
	still = mustAppend(t, l, still)
	wantMails(t, l, "shop", noon, both...)
	gone := record("shop")
	gone.Previous, gone.Action, gone.Granted = still.ID, consent.Withdraw, nil
	mustAppend(t, l, gone)
	rest := []MailCount{{Message: "2026-10", Clicks: 1, Clickers: 1}, {Message: "2026-11", Opens: 1, Openers: 1}}
	wantMails(t, l, "shop", noon, rest...)
	mustMail(t, l, mailEvent(anna, "open", later))
	wantMails(t, l, "shop", noon, rest...)

	if n, err := l.Erase(ctx, "shop", ben.Subject, byVisitor); n != 1 || err != nil {
		t.Errorf("erased %d records, %v", n, err)
	}
	wantMails(t, l, "shop", noon)
	wantMails(t, l, "blog", noon, MailCount{Message: "2026-11", Opens: 1, Openers: 1})

	// What is older than it may be kept goes with the next event.
	mustMail(t, l, mailEvent(elsewhere, "click", noon.AddDate(0, 0, 90)))
	wantMails(t, l, "blog", time.Unix(0, 0), MailCount{Message: "2026-11", Opens: 1, Openers: 1, Clicks: 1, Clickers: 1})
	mustMail(t, l, mailEvent(elsewhere, "click", noon.AddDate(0, 0, 91)))
	wantMails(t, l, "blog", time.Unix(0, 0), MailCount{Message: "2026-11", Clicks: 2, Clickers: 1})
}
