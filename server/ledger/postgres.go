package ledger

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"strconv"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgtype"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/jackc/pgx/v5/stdlib"
	"github.com/pressly/goose/v3"
	"golang.org/x/mod/sumdb/tlog"

	"github.com/stilehq/stile/server/merkle"
)

// remote is the engine in PostgreSQL, and in what speaks its protocol. Several processes may use the same database: who
// adds to the log has its one row locked, so that its numbers have no gap.
type remote struct {
	pool *pgxpool.Pool
	db   *sql.DB
	name string // host and database, for messages: the address may hold a password

	patient time.Duration // how long a connection, and then a batch, may take; its visitors are answered from the spool then
}

var _ engine = (*remote)(nil)

// patientFor is how long an address that has no connect_timeout, in seconds, lets the database take.
const patientFor = 2 * time.Second

func openRemote(ctx context.Context, address string) (_ *remote, err error) {
	c, err := pgxpool.ParseConfig(address)
	if err != nil || !strings.HasPrefix(address, "postgres://") && !strings.HasPrefix(address, "postgresql://") {
		// What the error quotes of the address may be its password.
		return nil, errors.New("the database's address cannot be read: it is postgres://USER:PASSWORD@HOST:5432/DATABASE, " +
			"with % signs for special characters; a password in PGPASSWORD or ~/.pgpass is found as well")
	}
	c.ConnConfig.ConnectTimeout = cmp.Or(c.ConnConfig.ConnectTimeout, patientFor)
	if c.ConnConfig.ValidateConnect == nil {
		c.ConnConfig.ValidateConnect = pgconn.ValidateConnectTargetSessionAttrsReadWrite // of several hosts, the one that can be written
	}
	c.ConnConfig.RuntimeParams["application_name"] = "stile"
	c.AfterConnect = durable
	e := &remote{
		name:    net.JoinHostPort(c.ConnConfig.Host, strconv.Itoa(int(c.ConnConfig.Port))) + "/" + c.ConnConfig.Database,
		patient: c.ConnConfig.ConnectTimeout,
	}
	if e.pool, err = pgxpool.NewWithConfig(ctx, c); err != nil {
		return nil, fmt.Errorf("opening the database %s: %w", e.name, err)
	}
	e.db = stdlib.OpenDBFromPool(e.pool)
	defer func() {
		if err != nil {
			err = errors.Join(err, e.close())
		}
	}()
	if err := e.ping(ctx); err != nil {
		return nil, err
	}
	return e, e.migrate(ctx)
}

// durable makes a connection on which a commit is on disk before it returns, or refuses it. A server that was set to wait
// for more than that goes on doing so.
func durable(ctx context.Context, c *pgx.Conn) error {
	var fsync string
	err := c.QueryRow(ctx, `SELECT coalesce(current_setting('fsync', true), 'on')`).Scan(&fsync)
	if err != nil {
		return fmt.Errorf("asking whether it syncs: %w", err)
	}
	if fsync == "off" {
		return errors.New("it runs with fsync = off and would lose records: switch it on")
	}
	_, err = c.Exec(ctx, `SELECT set_config('synchronous_commit', 'on', false) WHERE current_setting('synchronous_commit', true) = 'off'`)
	return err
}

func (e *remote) migrate(ctx context.Context) error {
	files, err := fs.Sub(migrations, "migrations/postgres")
	if err != nil {
		return fmt.Errorf("reading the migrations: %w", err)
	}
	p, err := goose.NewProvider(goose.DialectPostgres, e.db, files, goose.WithDisableGlobalRegistry(true), goose.WithVerbose(false))
	if err != nil {
		return fmt.Errorf("reading the migrations: %w", err)
	}
	have, known, err := p.GetVersions(ctx)
	switch {
	case err != nil:
		return fmt.Errorf("reading the version of the database %s: %w", e.name, e.explain(err))
	case have > known:
		return fmt.Errorf("the database %s is of version %d, this stile knows up to %d: use a newer stile", e.name, have, known)
	}
	for {
		if _, err = p.Up(ctx); err == nil {
			return nil
		}
		// Another process that was started at the same time may have been first: then the version has moved on.
		before := have
		var lost error
		if have, _, lost = p.GetVersions(ctx); lost != nil || have == before {
			return fmt.Errorf("bringing the database to version %d: %w", known, e.explain(err))
		}
	}
}

func (e *remote) reader() *sql.DB { return e.db }

func (e *remote) begin(ctx context.Context) (*sql.Tx, error) {
	return e.db.BeginTx(ctx, &sql.TxOptions{Isolation: sql.LevelReadCommitted})
}

func (e *remote) patience(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeout(ctx, e.patient)
}

func (e *remote) lock(ctx context.Context, tx *sql.Tx) (size int64, err error) {
	err = tx.QueryRowContext(ctx, `SELECT size FROM log FOR UPDATE`).Scan(&size)
	return size, err
}

func (e *remote) lockTree(ctx context.Context, tx *sql.Tx) (tlog.Tree, error) {
	return scanTree(tx.QueryRowContext(ctx, treeSQL+` FOR UPDATE`))
}

func (e *remote) ping(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, e.patient)
	defer cancel()
	var n int
	if err := e.db.QueryRowContext(ctx, `SELECT 1`).Scan(&n); err != nil {
		return e.explain(err)
	}
	return nil
}

// purge has nothing to do: the server's vacuum gives the room of deleted rows to others, and its log goes with its
// checkpoints. Archives of it are the operator's.
func (e *remote) purge(context.Context) error { return nil }

func (e *remote) close() error {
	err := e.db.Close()
	e.pool.Close()
	return err
}

// rollback has nothing to say: where a connection broke, the server undoes what was begun on it.
func (e *remote) rollback(tx *sql.Tx) error {
	_ = tx.Rollback()
	return nil
}

// explain says in one line what an operator can do about an error of the database.
func (e *remote) explain(err error) error {
	if err == nil || errors.As(err, new(explained)) {
		return err
	}
	words := "cannot be used now"
	var pg *pgconn.PgError
	switch {
	case errors.As(err, &pg):
		switch {
		case pg.Code == "28P01" || pg.Code == "28000":
			words = "does not let this user in: look at its name and password"
		case pg.Code == "3D000":
			words = "is not there: make it with createdb"
		case pg.Code == "42501":
			words = "does not let this user write: grant it that"
		case pg.Code == "53100":
			words = "has no room left: free some space on its disk"
		case pg.Code == "53300":
			words = "has too many connections: raise max_connections, or add ?pool_max_conns= to its address"
		case pg.Code == "25006":
			words = "can only be read: name the server that is written to"
		case !gone(err):
			return err
		}
	case !gone(err):
		return err
	case errors.As(err, new(*pgconn.ConnectError)), errors.As(err, new(net.Error)):
		words = "cannot be reached: start it, or look at its address"
	}
	return explained{fmt.Sprintf("the database %s %s", e.name, words), err}
}

// explained is an error of which has been said what to do. Its text has no line breaks: pgx lists what it tried a line each.
type explained struct {
	what string
	why  error
}

func (x explained) Error() string {
	return x.what + " (" + strings.Join(strings.Fields(x.why.Error()), " ") + ")"
}

func (x explained) Unwrap() error { return x.why }

func (x explained) Is(target error) bool { return target == ErrAway }

// gone tells whether an error is of the database as a whole: it is away, or not fit to be written to. The same records may
// be brought again when it is back.
func gone(err error) bool {
	var pg *pgconn.PgError
	if errors.As(err, &pg) {
		class := pg.Code[:min(2, len(pg.Code))]
		return class != "22" && class != "23" // wrong data, and data against a constraint
	}
	return err != nil && !errors.Is(err, sql.ErrNoRows) && !errors.Is(err, errTaken) && !errors.Is(err, merkle.ErrDamaged)
}

// alone is not hopeful where the whole database is gone.
func (e *remote) alone(err error) bool { return !gone(err) }

const (
	knownSQL = `SELECT ` + columns + ` FROM records WHERE (site, key) IN (SELECT * FROM unnest($1::text[], $2::uuid[]))`

	takenSQL = `SELECT id, site, subject, time FROM records WHERE id = ANY($1::uuid[])`

	addSQL = `INSERT INTO records (` + columns + `) SELECT * FROM unnest($1::bigint[], $2::bytea[], $3::uuid[], $4::uuid[], $5::text[],
		$6::uuid[], $7::uuid[], $8::bigint[], $9::text[], $10::text[], $11::text[], $12::text[], $13::text[], $14::text[], $15::text[],
		$16::text[], $17::text[], $18::text[], $19::text[], $20::text[], $21::boolean[], $22::text[], $23::bigint[])`

	unmailAllSQL = `DELETE FROM mail_events USING unnest($1::text[], $2::uuid[], $3::text[]) AS now (site, subject, granted)
		WHERE mail_events.site = now.site AND mail_events.subject = now.subject
		AND replace(now.granted, '"' || category || '"', '') = now.granted`
)

// batch is what the store of a batch knows of the database, and of what it has settled so far.
type batch struct {
	known   map[siteID]Record // by site and key
	records map[uuid.UUID]placed
	awaited map[siteID]awaited // by site and id
	rows    []*pending         // stored now
	missing []siteID           // awaited from now on, or noted as erased
	joined  []joining
	erasing []*pending // whose erase is set
}

type siteID struct {
	site string
	id   uuid.UUID
}

type placed struct {
	site string
	origin
}

func (e *remote) store(ctx context.Context, tx *sql.Tx, size int64, all []*pending) (int64, error) {
	b := batch{known: map[siteID]Record{}, records: map[uuid.UUID]placed{}, awaited: map[siteID]awaited{}}
	if err := b.look(ctx, tx, all); err != nil {
		return 0, err
	}
	for _, p := range all {
		p.got, p.added, p.erase, p.err = Record{}, false, uuid.Nil, nil
		if b.settle(p, size) {
			size++
		}
	}
	return size, b.write(ctx, tx)
}

// look finds what is stored already of a batch, and what its records follow.
func (b *batch) look(ctx context.Context, tx *sql.Tx, all []*pending) error {
	var sites []string
	var keys, ids []pgtype.UUID
	for _, p := range all {
		r := &p.row.record
		sites, keys, ids = append(sites, r.Site), append(keys, toUUID(r.Key)), append(ids, toUUID(r.ID))
		if r.Previous != uuid.Nil {
			ids = append(ids, toUUID(r.Previous))
		}
		if p.late {
			sites, keys = append(sites, r.Site), append(keys, toUUID(secondKey(r)))
		}
	}
	err := rowsOf(ctx, tx, func(rows *sql.Rows) error {
		r, err := scan(rows)
		b.known[siteID{r.Site, r.Key}] = r
		return err
	}, knownSQL, sites, keys)
	if err != nil {
		return fmt.Errorf("finding what is stored already: %w", err)
	}
	err = rowsOf(ctx, tx, func(rows *sql.Rows) error {
		var id uuid.UUID
		var at placed
		err := rows.Scan(&id, &at.site, &at.subject, &at.time)
		b.records[id] = at
		return err
	}, takenSQL, ids)
	if err != nil {
		return fmt.Errorf("finding the records before: %w", err)
	}
	return b.lookAwaited(ctx, tx, all)
}

// settle decides about one record, and tells whether it takes the next number.
func (b *batch) settle(p *pending, leaf int64) bool {
	r := p.row.record
	key := siteID{r.Site, r.Key}
	known, there := b.known[key]
	twin := known
	if there && p.late && known.ID != r.ID {
		// Another process has stored the same act meanwhile, under another receipt. Both were acknowledged.
		r.Key = secondKey(&r)
		key.id = r.Key
		known, there = b.known[key]
	}
	if there {
		p.got = known
		return false
	}
	if _, taken := b.records[r.ID]; taken {
		p.err = errTaken
		return false
	}
	if b.follow(p, &r) {
		p.got = r
		return false
	}
	if twin.Subject != uuid.Nil && twin.Subject != r.Subject { // who acted is one, with two receipts
		b.joined = append(b.joined, joining{r.Site, r.Subject, twin.Subject})
	}
	r.Leaf = leaf
	p.got, p.added = r, true
	b.rows = append(b.rows, p)
	b.known[key] = r
	b.records[r.ID] = placed{r.Site, origin{r.Subject, toMilli(r.Time)}}
	return true
}

// write stores what was settled.
func (b *batch) write(ctx context.Context, tx *sql.Tx) error {
	if len(b.rows) > 0 {
		if _, err := tx.ExecContext(ctx, addSQL, b.columns()...); err != nil {
			return fmt.Errorf("storing %d records: %w", len(b.rows), err)
		}
	}
	var sites, granted []string
	var subjects []pgtype.UUID
	for _, p := range b.rows {
		if p.got.Previous != uuid.Nil {
			sites, subjects, granted = append(sites, p.got.Site), append(subjects, toUUID(p.got.Subject)), append(granted, p.row.granted)
		}
	}
	if len(sites) > 0 {
		if _, err := tx.ExecContext(ctx, unmailAllSQL, sites, subjects, granted); err != nil {
			return fmt.Errorf("dropping the events of mails: %w", err)
		}
	}
	return b.writeAwaited(ctx, tx)
}

// columns are the values of the rows, a slice for each of columns.
func (b *batch) columns() []any {
	n := len(b.rows)
	leaves, times, expiries := make([]int64, n), make([]int64, n), make([]pgtype.Int8, n)
	salts, gpc := make([][]byte, n), make([]bool, n)
	var ids [4][]pgtype.UUID
	for i := range ids {
		ids[i] = make([]pgtype.UUID, n)
	}
	var words [14][]string
	for i := range words {
		words[i] = make([]string, n)
	}
	for i, p := range b.rows {
		r, w := &p.got, &p.row
		leaves[i], times[i], salts[i], gpc[i] = r.Leaf, toMilli(r.Time), r.Salt[:], r.GPC
		if !r.Expiry.IsZero() {
			expiries[i] = pgtype.Int8{Int64: toMilli(r.Expiry), Valid: true}
		}
		for j, id := range []uuid.UUID{r.ID, r.Key, r.Subject, r.Previous} {
			ids[j][i] = toUUID(id)
		}
		for j, s := range []string{
			r.Site, string(r.Action), w.granted, w.denied, w.services, w.refused, r.Regime, r.Country, r.Language, r.Policy, r.List,
			r.Notice, r.Surface, r.Age,
		} {
			words[j][i] = s
		}
	}
	return []any{
		leaves, salts, ids[0], ids[1], words[0], ids[2], ids[3], times, words[1], words[2], words[3], words[4], words[5], words[6],
		words[7], words[8], words[9], words[10], words[11], words[12], gpc, words[13], expiries,
	}
}

// toUUID is null for the zero id.
func toUUID(id uuid.UUID) pgtype.UUID { return pgtype.UUID{Bytes: id, Valid: id != uuid.Nil} }
