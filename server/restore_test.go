package server

import (
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stilehq/stile/server/backup"
)

// A restored server believes the cookies that the old one gave, and has their records; what came after the backup it asks
// for anew, or has in the cookie alone.
func TestRestoredServer(t *testing.T) {
	if database(t) != "" {
		t.Skip("the records in PostgreSQL are the operator's to back up")
	}
	old := newWorld(t)
	old.choose("category=analytics")
	archive := filepath.Join(t.TempDir(), "stile.tar")
	m, err := backup.Make(t.Context(), backup.Options{Data: filepath.Join(old.folder, "data"), To: archive, Now: time.Now}) // it serves
	if err != nil || m.Leaves != 1 || m.Keys() == 0 {
		t.Fatalf("%+v, %v", m, err)
	}
	data := filepath.Join(t.TempDir(), "data")
	if _, err := backup.Restore(t.Context(), backup.RestoreOptions{File: archive, Data: data, Now: time.Now}); err != nil {
		t.Fatal(err)
	}
	now := newWorld(t, func(o *Options) { o.Data = data })
	now.client.Jar = old.client.Jar // the port makes no difference to cookies
	if _, body := now.get("/stile/shop.js"); !strings.Contains(body, "G-AB12CD34EF") || strings.Contains(body, "Reject all") {
		t.Error("the old choice is not believed")
	}
	if _, body := now.get("/stile/shop/receipt"); !strings.Contains(body, `"analytics"`) {
		t.Errorf("the old record is not shown: %s", body)
	}
	now.choose("category=marketing")
	if n := now.records(); n != 2 {
		t.Errorf("%d records", n)
	}
}
