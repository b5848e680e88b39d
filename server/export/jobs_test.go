package export

import (
	"bytes"
	"context"
	"errors"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/google/uuid"
	"go.uber.org/goleak"

	"github.com/stilehq/stile/server/consent"
	"github.com/stilehq/stile/server/ledger"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// slow is a log of some records, each of which waits until it is let go.
type slow struct {
	n     int64
	next  chan struct{} // nil: nobody waits
	wrong error         // of Note
	notes []ledger.Audit
}

func (s *slow) Size(context.Context) (int64, error) { return s.n, nil }

func (s *slow) Note(_ context.Context, a ledger.Audit) (ledger.Audit, error) {
	if s.wrong != nil {
		return a, s.wrong
	}
	s.notes = append(s.notes, a)
	return a, nil
}

func (s *slow) Export(ctx context.Context, q ledger.Query, fn func(*ledger.Record) error) error {
	for i := range q.End {
		if s.next != nil {
			select {
			case <-s.next:
			case <-ctx.Done():
				return ctx.Err()
			}
		}
		r := ledger.Record{ID: uuid.New(), Leaf: i, Site: q.Site, Time: time.Now(), Action: []consent.Action{consent.AcceptAll, consent.RejectAll}[i%2], Regime: "gdpr"}
		if err := fn(&r); err != nil {
			return err
		}
		if err := q.Page(i + 1); err != nil {
			return err
		}
	}
	return nil
}

func openJobs(t *testing.T, log Log) (*Jobs, string) {
	t.Helper()
	folder := filepath.Join(t.TempDir(), "exports")
	j, err := OpenJobs(folder, log, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := j.Close(); err != nil {
			t.Error(err)
		}
	})
	return j, folder
}

func files(t *testing.T, folder string) (names []string) {
	t.Helper()
	list, err := os.ReadDir(folder)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		t.Fatal(err)
	}
	for _, f := range list {
		names = append(names, f.Name())
	}
	return names
}

var wish = Order{Site: "shop", Kind: "jsonl", By: "ada"}

func start(t *testing.T, j *Jobs, o Order) Job {
	t.Helper()
	one, err := j.Start(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	return one
}

func get(t *testing.T, j *Jobs, id string) Job {
	t.Helper()
	one, err := j.Get("shop", id)
	if err != nil {
		t.Fatal(err)
	}
	return one
}

// What was erased is in no file an hour later: neither in one that was finished, nor in one that was being written.
func TestErased(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log := &slow{n: 1, next: make(chan struct{})}
		j, folder := openJobs(t, log)
		finished := start(t, j, wish).ID
		log.next <- struct{}{}
		synctest.Wait()
		written := start(t, j, wish).ID
		synctest.Wait()
		other := wish
		other.Site = "blog"
		j.Erased("shop")
		log.next <- struct{}{}
		synctest.Wait()
		later := start(t, j, other).ID
		log.next <- struct{}{}
		synctest.Wait()
		time.Sleep(KeptErased / 2) // of the bubble's clock
		j.Erased("shop")           // somebody else, who makes it no longer
		for _, id := range []string{finished, written} {
			if got := get(t, j, id); got.State != Ready || !got.Until.Equal(time.Now().Add(KeptErased/2)) {
				t.Errorf("half an hour later: %+v", got)
			}
		}
		time.Sleep(KeptErased / 2)
		synctest.Wait()
		if left := files(t, folder); len(left) != 1 || left[0] != later {
			t.Errorf("an hour later there are %v, and the other site's is %s", left, later)
		}
		last := Kept - KeptErased
		time.Sleep(last - time.Minute)
		j.Erased("blog") // a minute before its end, which stays
		time.Sleep(time.Minute)
		synctest.Wait()
		if left := files(t, folder); len(left) != 0 {
			t.Errorf("a day later there are %v", left)
		}
	})
}

// A job says how far it is, can be taken once it is noted, and is deleted a day later.
func TestJob(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log := &slow{n: 4, next: make(chan struct{})}
		j, folder := openJobs(t, log)
		o := wish
		o.Action = consent.RejectAll
		id := start(t, j, o).ID
		for range 3 {
			log.next <- struct{}{}
		}
		synctest.Wait()
		if got := get(t, j, id); got.State != Running || got.Next != 3 || got.End != 4 || got.Found != 1 {
			t.Errorf("under way: %+v", got)
		}
		if _, err := j.Open("shop", id); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("half a file was opened: %v", err)
		}
		if len(log.notes) > 0 {
			t.Errorf("noted before it is whole: %+v", log.notes)
		}
		log.next <- struct{}{}
		synctest.Wait()
		got := get(t, j, id)
		if got.State != Ready || got.Found != 2 || !got.Until.Equal(time.Now().Add(Kept)) {
			t.Errorf("at the end: %+v", got)
		}
		if info, err := os.Stat(filepath.Join(folder, id)); err != nil || info.Mode().Perm() != 0o600 || info.Size() != got.Bytes {
			t.Errorf("the file: %+v, %v", info, err)
		}
		want := []ledger.Audit{{Actor: "operator:ada", Act: ledger.ActExport, Site: "shop", Leaves: ledger.LeavesOf(0, 1, 2, 3), Count: 2, Detail: "jsonl, action reject_all"}}
		if diff := cmp.Diff(want, log.notes, cmpopts.IgnoreFields(ledger.Audit{}, "Time")); diff != "" {
			t.Errorf("noted (-want +got):\n%s", diff)
		}
		if _, err := j.Get("blog", id); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("another site has it: %v", err)
		}
		if f, err := j.Open("blog", id); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("another site opens it: %v %v", f, err)
		}
		time.Sleep(Kept - time.Second) // of the bubble's clock
		synctest.Wait()
		if len(files(t, folder)) != 1 {
			t.Error("it was deleted too early")
		}
		time.Sleep(time.Second)
		synctest.Wait()
		if _, err := j.Get("shop", id); !errors.Is(err, fs.ErrNotExist) || len(files(t, folder)) > 0 {
			t.Errorf("a day later: %v, %v", err, files(t, folder))
		}
	})
}

func TestJobsAreFew(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log := &slow{n: 1, next: make(chan struct{})}
		j, folder := openJobs(t, log)
		first := start(t, j, wish)
		start(t, j, wish)
		if _, err := j.Start(t.Context(), wish); !errors.Is(err, ErrRunning) {
			t.Errorf("a third one at once: %v", err)
		}
		if err := j.Cancel("blog", first.ID); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("cancelled by another site: %v", err)
		}
		if err := j.Cancel("shop", first.ID); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		if got := files(t, folder); len(got) != 1 {
			t.Errorf("left of the cancelled one: %v", got)
		}
		if err := j.Cancel("shop", first.ID); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("cancelled again: %v", err)
		}
		for range mostKept - 1 {
			log.next <- struct{}{} // of the one that runs
			synctest.Wait()
			start(t, j, wish)
		}
		log.next <- struct{}{}
		synctest.Wait()
		if _, err := j.Start(t.Context(), wish); !errors.Is(err, ErrKept) || len(files(t, folder)) != mostKept {
			t.Errorf("with %v: %v", files(t, folder), err)
		}
		list := j.List("shop")
		if len(list) != mostKept || len(j.List("blog")) > 0 {
			t.Errorf("listed: %+v", list)
		}
		if err := j.Cancel("shop", list[0].ID); err != nil || len(files(t, folder)) != mostKept-1 {
			t.Errorf("deleting one: %v, %v", err, files(t, folder))
		}
	})
}

// What cannot be noted cannot be taken.
func TestJobUnnoted(t *testing.T) {
	for wrong, want := range map[error]string{
		errors.New("full"): "it could not be written: nothing of it is left",
		ledger.ErrAway:     "the database was away or busy: nothing of it is left, try again",
	} {
		synctest.Test(t, func(t *testing.T) {
			j, folder := openJobs(t, &slow{n: 3, wrong: wrong})
			id := start(t, j, wish).ID
			synctest.Wait()
			if got := get(t, j, id); got.State != Failed || got.Wrong != want {
				t.Errorf("%v: %+v", wrong, got)
			}
			if _, err := j.Open("shop", id); !errors.Is(err, fs.ErrNotExist) || len(files(t, folder)) > 0 {
				t.Errorf("%v: %v is left, %v", wrong, files(t, folder), err)
			}
			if err := j.Cancel("shop", id); err != nil {
				t.Errorf("deleting it: %v", err)
			}
		})
	}
}

// Nothing is left when Stile stops, nor of one that was killed when it starts.
func TestJobsLeaveNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log := &slow{n: 2, next: make(chan struct{}, 2)}
		j, folder := openJobs(t, log)
		log.next <- struct{}{}
		log.next <- struct{}{}
		start(t, j, wish)
		synctest.Wait()
		start(t, j, wish)
		synctest.Wait()
		if len(files(t, folder)) != 2 {
			t.Fatalf("there are %v", files(t, folder))
		}
		for range 2 {
			if err := j.Close(); err != nil {
				t.Error(err)
			}
		}
		if _, err := os.Stat(folder); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("the folder: %v", err)
		}
		if _, err := j.Start(t.Context(), wish); !errors.Is(err, errClosed) {
			t.Errorf("after the end: %v", err)
		}
		if len(log.notes) != 1 {
			t.Errorf("noted: %+v", log.notes)
		}
	})
	folder := filepath.Join(t.TempDir(), "exports")
	if err := os.Mkdir(folder, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(folder, "KILLED"), []byte("{}"), 0o600); err != nil {
		t.Fatal(err)
	}
	j, err := OpenJobs(folder, &slow{}, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	defer j.Close()
	if info, err := os.Stat(folder); err != nil || info.Mode().Perm() != 0o700 || len(files(t, folder)) > 0 {
		t.Errorf("%v, %v, %v", info.Mode(), err, files(t, folder))
	}
}

// A log without entries gives a file without records, whatever comes meanwhile.
func TestJobOfNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log := &slow{}
		j, _ := openJobs(t, log)
		o := wish
		o.Kind = "csv"
		id := start(t, j, o).ID
		synctest.Wait()
		f, err := j.Open("shop", id)
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		var text bytes.Buffer
		if _, err := text.ReadFrom(f); err != nil || text.String() != CSVHeader {
			t.Errorf("it has %q, %v", text.String(), err)
		}
		if len(log.notes) != 1 || log.notes[0].Count != 0 || len(log.notes[0].Leaves) != 0 {
			t.Errorf("noted: %+v", log.notes)
		}
	})
}

func TestJobOfAnotherFormat(t *testing.T) {
	j, folder := openJobs(t, &slow{})
	o := wish
	o.Kind = "xml"
	if _, err := j.Start(t.Context(), o); err == nil || !strings.Contains(err.Error(), `no format "xml"`) || len(files(t, folder)) > 0 {
		t.Errorf("%v, %v", err, files(t, folder))
	}
}
