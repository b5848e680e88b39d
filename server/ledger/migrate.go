package ledger

import (
	"context"
	"database/sql"
	"embed"
	"fmt"
	"io/fs"

	"github.com/pressly/goose/v3"
)

// The schema, one numbered file a change. A file that was released is never edited.
//
//go:embed migrations
var migrations embed.FS

// applicationID is in the header of every Stile database ("Stil"), so that no other program's file is written to.
const applicationID = 0x5374696c

// claim marks an empty database as Stile's, and refuses one that is another program's.
func claim(ctx context.Context, db *sql.DB, path string) error {
	var id, tables int
	err := db.QueryRowContext(ctx, `SELECT (SELECT application_id FROM pragma_application_id), (SELECT count(*) FROM sqlite_master)`).
		Scan(&id, &tables)
	switch {
	case err != nil:
		return explain(path, err)
	case id == applicationID:
		return nil
	case tables > 0:
		return fmt.Errorf("%s is not a Stile database: name another file", path)
	}
	if _, err := db.ExecContext(ctx, fmt.Sprintf(`PRAGMA application_id = %d`, applicationID)); err != nil {
		return explain(path, err)
	}
	return nil
}

// migrate brings the schema up to what this binary knows.
func migrate(ctx context.Context, db *sql.DB, path string) error {
	files, err := fs.Sub(migrations, "migrations/sqlite")
	if err != nil {
		return fmt.Errorf("reading the migrations: %w", err)
	}
	p, err := goose.NewProvider(goose.DialectSQLite3, db, files, goose.WithDisableGlobalRegistry(true), goose.WithVerbose(false))
	if err != nil {
		return fmt.Errorf("reading the migrations: %w", err)
	}
	have, known, err := p.GetVersions(ctx)
	switch {
	case err != nil:
		return fmt.Errorf("reading the version of %s: %w", path, explain(path, err))
	case have > known:
		return fmt.Errorf("the database %s is of version %d, this stile knows up to %d: use a newer stile", path, have, known)
	}
	for {
		if _, err = p.Up(ctx); err == nil {
			return nil
		}
		// Another process that was started at the same time may have been first: then the version has moved on.
		before := have
		var lost error
		if have, _, lost = p.GetVersions(ctx); lost != nil || have == before {
			return fmt.Errorf("bringing %s to version %d: %w", path, known, explain(path, err))
		}
	}
}
