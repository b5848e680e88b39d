package ledger

import (
	"context"
	"io/fs"
	"path/filepath"
	"testing"

	"github.com/google/uuid"

	"github.com/stilehq/stile/server/sqlite"
)

// before is a file system without the migrations that came later.
type before struct {
	fs.FS
	late string
}

func (b before) ReadDir(name string) (list []fs.DirEntry, err error) {
	all, err := fs.ReadDir(b.FS, name)
	for _, e := range all {
		if e.Name() < b.late {
			list = append(list, e)
		}
	}
	return list, err
}

// A database from before the log keeps its records, in their order, and each gets a number and a salt.
func TestMigrateToLog(t *testing.T) {
	ctx := context.Background()
	path := filepath.Join(t.TempDir(), "stile.db")
	files, err := fs.Sub(migrations, "migrations/sqlite")
	if err != nil {
		t.Fatal(err)
	}
	old, err := sqlite.Open(ctx, path, sqlite.Kind{Name: "database", ID: 0x5374696c, Migrations: before{files, "00004"}})
	if err != nil {
		t.Fatal(err)
	}
	visitor := uuid.New()
	var ids []uuid.UUID
	for i, seq := range []int{2, 5, 9} { // others were erased
		id, key := uuid.New(), uuid.New()
		ids = append(ids, id)
		_, err := old.ExecContext(ctx, `INSERT INTO records (seq, id, key, site, subject, time, action, granted, denied, services, regime, country,
			language, policy, list, notice, surface, gpc, refused, age) VALUES ($1, $2, $3, 'shop', $4, $5, 'custom', '["analytics"]', '[]', '[]',
			'gdpr', 'DE', 'de', '1', 'l', 'n', 'banner', 0, '["ads"]', 'older')`, seq, id[:], key[:], visitor[:], toMilli(noon)+int64(i))
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := old.Close(); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		l := open(t, path)
		all, err := l.History(ctx, "shop", visitor)
		if err != nil || len(all) != 3 {
			t.Fatalf("%d records, %v", len(all), err)
		}
		salts := map[[16]byte]bool{}
		for i, r := range all {
			salts[r.Salt] = true
			if r.Leaf != int64(2-i) || r.ID != ids[2-i] || r.Age != "older" || len(r.Refused) != 1 {
				t.Errorf("record %d: %+v", i, r)
			}
		}
		if len(salts) != 3 {
			t.Errorf("salts are %v", salts)
		}
		closeOf(t, l)
	}
	if next := mustAppend(t, open(t, path), record("shop")); next.Leaf != 3 {
		t.Errorf("the next number is %d", next.Leaf)
	}
}
