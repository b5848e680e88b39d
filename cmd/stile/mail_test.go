package main

import (
	"bytes"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"

	"github.com/stilehq/stile/server/consent"
	"github.com/stilehq/stile/server/ledger"
)

// The report is of what the ledger keeps, as far back as the site says.
func TestMailReport(t *testing.T) {
	folder := t.TempDir()
	t.Chdir(folder)
	const text = `site: shop
origins: ["https://www.shop.example"]
controller: {name: EasyDser, contact: privacy@shop.example}
policy: {version: 2026-11-01, file: policy.md}
categories: {necessary: {required: true}, analytics: {}}
mail: {category: analytics, log: 30d}
`
	for name, src := range map[string]string{"stile.yaml": text, "policy.md": "# Policy\n"} {
		if err := os.WriteFile(name, []byte(src), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Mkdir("data", 0o700); err != nil {
		t.Fatal(err)
	}
	db, err := ledger.Open(t.Context(), ledger.Options{Path: filepath.Join("data", "stile.db")})
	if err != nil {
		t.Fatal(err)
	}
	r, err := db.Append(t.Context(), ledger.Record{Key: uuid.New(), Site: "shop", Time: time.Now(), Action: consent.AcceptAll, Granted: []string{"analytics"}})
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range []struct {
		message, kind string
		ago           int
	}{{"old", "open", 40}, {"xmas", "open", 3}, {"xmas", "open", 2}, {"xmas", "click", 2}, {"xmas", "click", 2}} {
		err := db.Mailed(t.Context(), ledger.MailEvent{
			Site: "shop", Message: e.message, Kind: e.kind, Subject: r.Subject, Category: "analytics",
			Time: time.Now().AddDate(0, 0, -e.ago), Keep: 365 * 24 * time.Hour,
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		args []string
		want string
	}{
		{nil, "MESSAGE  OPENS  BY  CLICKS  BY\nxmas     2      1   2       1\n"},
		{[]string{"--json"}, `[{"message":"xmas","opens":2,"openers":1,"clicks":2,"clickers":1}]`},
	} {
		var out bytes.Buffer
		if code := run(t.Context(), append([]string{"mail", "report", "shop"}, test.args...), &out, io.Discard); code != exitFine {
			t.Fatalf("%v exits with %d", test.args, code)
		}
		got := out.String()
		if test.args != nil {
			got = strings.Join(strings.Fields(got), "")
		}
		if diff := cmp.Diff(test.want, got); diff != "" {
			t.Errorf("%v (-want +got):\n%s", test.args, diff)
		}
	}
}
