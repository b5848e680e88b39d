package export

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"github.com/stilehq/stile/server/consent"
	"github.com/stilehq/stile/server/ledger"
)

const (
	// Kept is how long a finished file waits to be taken.
	Kept = 24 * time.Hour
	// KeptErased is how long at most once somebody was erased who may be in it (Erased).
	KeptErased = time.Hour
)

const (
	mostRunning = 2
	mostKept    = 8 // files, those being written too: the disk is the ledger's
)

// ErrRunning and ErrKept are returned by Start where nothing was started, since so many are being written, or wait to be
// taken, already.
var (
	ErrRunning = fmt.Errorf("%d exports are being written now: wait for one to end, or cancel one", mostRunning)
	ErrKept    = fmt.Errorf("%d exports are kept here already: delete one first", mostKept)
	errClosed  = errors.New("no export can begin: Stile is stopping")
)

// Log is the ledger that exports are made of: a *ledger.Ledger.
type Log interface {
	Source
	Size(ctx context.Context) (int64, error)
	Note(ctx context.Context, a ledger.Audit) (ledger.Audit, error)
}

// Order is what somebody wants exported.
type Order struct {
	Site     string
	From, To time.Time      // From <= Record.Time < To; zero for no bound
	Action   consent.Action // "" for all
	Regime   string         // "" for all
	Kind     string         // jsonl, csv or 27560
	Base     string         // for 27560: the consent host
	By       string         // name of who wants it
}

// format is made for each export: the context of TS27560 is that export's.
func (o *Order) format(ctx context.Context, log Log) (Format, error) {
	switch o.Kind {
	case "jsonl":
		return JSONL(), nil
	case "csv":
		return CSV(), nil
	case "27560":
		if db, ok := log.(*ledger.Ledger); ok {
			return TS27560(ctx, db, o.Base), nil
		}
	}
	return Format{}, fmt.Errorf("there is no format %q: it is one of jsonl, csv, 27560", o.Kind)
}

func (o *Order) wants(r *ledger.Record) bool {
	return (o.Action == "" || r.Action == o.Action) && (o.Regime == "" || r.Regime == o.Regime)
}

// Detail is what the audit trail says of an order, in few words.
func (o *Order) Detail() string {
	text := o.Kind
	for _, part := range []struct{ name, value string }{
		{"from", day(o.From)}, {"before", day(o.To)}, {"action", string(o.Action)}, {"regime", o.Regime},
	} {
		if part.value != "" {
			text += ", " + part.name + " " + part.value
		}
	}
	return text
}

func day(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format(time.DateOnly)
}

// Job is an export, as it stands when it is asked for.
type Job struct {
	ID    string
	Order Order
	Begun time.Time
	State State
	Next  int64 // how far it is: the number of the log that comes next
	End   int64 // where it ends
	Found int64 // records that were written
	Bytes int64 // of the finished file
	Until time.Time
	Wrong string // why it failed
}

// State is how far an export is.
type State string

// The states there are.
const (
	Running State = "running"
	Ready   State = "ready" // its file can be taken until Job.Until
	Failed  State = "failed"
)

// Jobs are exports of one process that are written on somebody's behalf, each to a file that its owner alone can read. Files
// are deleted after Kept, when Stile stops, and when it starts. So they outlive records that are erased by a day at most,
// and by KeptErased where this process erased them.
type Jobs struct {
	folder string
	log    Log
	logger *slog.Logger
	ctx    context.Context //nolint:containedctx // of all jobs: ended by Close
	end    context.CancelFunc
	wait   sync.WaitGroup

	mu     sync.Mutex
	closed bool
	list   []*job // oldest first
}

type job struct {
	Job
	cancel context.CancelFunc
	delete *time.Timer // nil while it runs
	erased bool        // somebody was, since it began
}

// OpenJobs makes an empty folder for exports, or empties the one that is there.
func OpenJobs(folder string, log Log, logger *slog.Logger) (*Jobs, error) {
	if err := os.RemoveAll(folder); err != nil {
		return nil, fmt.Errorf("old exports cannot be deleted: %w", err)
	}
	if err := os.MkdirAll(folder, 0o700); err != nil {
		return nil, fmt.Errorf("the folder of exports cannot be made: %w", err)
	}
	j := &Jobs{folder: folder, log: log, logger: logger}
	j.ctx, j.end = context.WithCancel(context.Background())
	return j, nil
}

// Close ends all exports and deletes their files. It may be called again.
func (j *Jobs) Close() error {
	j.end()
	j.mu.Lock()
	j.closed = true
	for _, one := range j.list {
		if one.delete != nil {
			one.delete.Stop()
		}
	}
	j.list = nil
	j.mu.Unlock()
	j.wait.Wait()
	return os.RemoveAll(j.folder)
}

// Start begins an export of all that the log has now. Errors: ErrRunning, ErrKept.
func (j *Jobs) Start(ctx context.Context, o Order) (Job, error) {
	if _, err := o.format(ctx, j.log); err != nil {
		return Job{}, err
	}
	end, err := j.log.Size(ctx)
	if err != nil {
		return Job{}, err
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	running := 0
	for _, one := range j.list {
		if one.State == Running {
			running++
		}
	}
	switch {
	case j.closed:
		return Job{}, errClosed
	case running >= mostRunning:
		return Job{}, ErrRunning
	case len(j.list) >= mostKept:
		return Job{}, ErrKept
	}
	one := &job{Job: Job{ID: rand.Text(), Order: o, Begun: time.Now(), State: Running, End: end}}
	run, cancel := context.WithCancel(j.ctx)
	one.cancel = cancel
	j.list = append(j.list, one)
	j.wait.Go(func() { j.run(run, one) })
	return one.Job, nil
}

// Get returns an export of a site, or fs.ErrNotExist.
func (j *Jobs) Get(site, id string) (Job, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	if one := j.find(site, id); one != nil {
		return one.Job, nil
	}
	return Job{}, fs.ErrNotExist
}

// List returns the exports of a site, the last one first.
func (j *Jobs) List(site string) (list []Job) {
	j.mu.Lock()
	defer j.mu.Unlock()
	for _, one := range slices.Backward(j.list) {
		if one.Order.Site == site {
			list = append(list, one.Job)
		}
	}
	return list
}

// Open opens the file of a finished export, or fails with fs.ErrNotExist.
func (j *Jobs) Open(site, id string) (*os.File, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	one := j.find(site, id)
	if one == nil || one.State != Ready {
		return nil, fs.ErrNotExist
	}
	return os.Open(j.path(one))
}

// Cancel ends an export and deletes its file; nothing of it is left. fs.ErrNotExist where there is none.
func (j *Jobs) Cancel(site, id string) error {
	j.mu.Lock()
	defer j.mu.Unlock()
	one := j.find(site, id)
	if one == nil {
		return fs.ErrNotExist
	}
	return j.drop(one)
}

// Erased is called once records of a site were erased. Its files are kept for an hour at most then, and not deleted at once:
// visitors erase when they like, and nobody could ever take a file of a busy site, or of one where somebody wants that.
func (j *Jobs) Erased(site string) {
	j.mu.Lock()
	defer j.mu.Unlock()
	until := time.Now().Add(KeptErased)
	for _, one := range j.list {
		if one.Order.Site != site || one.erased {
			continue
		}
		one.erased = true
		if one.delete != nil && until.Before(one.Until) {
			one.Until = until
			one.delete.Reset(KeptErased)
		}
	}
}

// find and drop are called with mu held.
func (j *Jobs) find(site, id string) *job {
	i := slices.IndexFunc(j.list, func(one *job) bool { return one.ID == id && one.Order.Site == site })
	if i < 0 {
		return nil
	}
	return j.list[i]
}

func (j *Jobs) drop(one *job) error {
	one.cancel()
	if one.delete != nil {
		one.delete.Stop()
	}
	j.list = slices.DeleteFunc(j.list, func(other *job) bool { return other == one })
	if one.State != Ready {
		return nil // who writes it deletes it
	}
	return os.Remove(j.path(one))
}

func (j *Jobs) path(one *job) string { return filepath.Join(j.folder, one.ID) }

// run writes an export and says how it ended.
func (j *Jobs) run(ctx context.Context, one *job) {
	defer one.cancel()
	size, err := j.write(ctx, one)
	j.mu.Lock()
	defer j.mu.Unlock()
	wanted := slices.Contains(j.list, one)
	if err != nil || !wanted {
		_ = os.Remove(j.path(one)) // that it cannot even be deleted is told by what follows
	}
	switch {
	case !wanted: // it was cancelled
		return
	case err != nil:
		one.State, one.Wrong = Failed, "it could not be written: nothing of it is left"
		if errors.Is(err, ledger.ErrAway) || errors.Is(err, ledger.ErrBusy) {
			one.Wrong = "the database was away or busy: nothing of it is left, try again"
		}
		j.logger.Error("an export failed", "site", one.Order.Site, "format", one.Order.Kind, "error", err)
	default:
		one.State, one.Bytes = Ready, size
	}
	kept := Kept
	if one.erased {
		kept = KeptErased
	}
	one.Until = time.Now().Add(kept)
	one.delete = time.AfterFunc(kept, func() {
		j.mu.Lock()
		defer j.mu.Unlock()
		if slices.Contains(j.list, one) {
			if err := j.drop(one); err != nil {
				j.logger.Error("an export cannot be deleted", "error", err)
			}
		}
	})
}

// write writes the file, and notes in the audit trail who has it before anybody can take it.
func (j *Jobs) write(ctx context.Context, one *job) (size int64, err error) {
	o := &one.Order
	f, err := o.format(ctx, j.log)
	if err != nil {
		return 0, err
	}
	file, err := os.OpenFile(j.path(one), os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, file.Close()) }()
	q := ledger.Query{Site: o.Site, From: o.From, To: o.To, End: one.End}
	from := Source(wanted{j.log, o})
	if q.End == 0 {
		from = nothing{} // the query would be of what the log has by now
	}
	n, err := Write(ctx, from, q, f, file, true, func(next, records int64) {
		j.mu.Lock()
		one.Next, one.Found = next, records
		j.mu.Unlock()
	})
	if err != nil {
		return 0, err
	}
	what := ledger.Audit{Time: time.Now(), Actor: ledger.Operator(o.By), Act: ledger.ActExport, Site: o.Site, Count: int(n), Detail: o.Detail()}
	if q.End > 0 {
		what.Leaves = ledger.Leaves{{First: 0, Last: q.End - 1}}
	}
	if _, err := j.log.Note(ctx, what); err != nil {
		return 0, err
	}
	info, err := file.Stat()
	if err != nil {
		return 0, err
	}
	return info.Size(), nil
}

// wanted is a source without the records that an order leaves out.
type wanted struct {
	Source
	order *Order
}

func (w wanted) Export(ctx context.Context, q ledger.Query, fn func(*ledger.Record) error) error {
	return w.Source.Export(ctx, q, func(r *ledger.Record) error {
		if !w.order.wants(r) {
			return nil
		}
		return fn(r)
	})
}

// nothing is the source that an empty log is.
type nothing struct{}

func (nothing) Export(context.Context, ledger.Query, func(*ledger.Record) error) error { return nil }
