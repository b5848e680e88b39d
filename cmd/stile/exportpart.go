package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/stilehq/stile/server/ledger"
)

// partQuery is what an unfinished export is of, in FILE.part.json beside it.
type partQuery struct {
	Site   string    `json:"site"`
	From   time.Time `json:"from"`
	To     time.Time `json:"to"`
	Format string    `json:"format"`
	End    int64     `json:"end"` // number of the log at which it ends, whenever it goes on
}

// part is an export that is not whole yet.
type part struct {
	name  string // FILE.part
	into  string // FILE
	file  *os.File
	fresh bool // nothing is written yet
}

// openPart begins a file or, to go on with one, cuts off its last line where that is half written, and sets where the query
// starts and ends.
func (c *exportRecords) openPart(q *ledger.Query, f format) (*part, error) {
	if _, err := os.Lstat(c.Output); !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("%s is there already: name another file, or move it away", c.Output)
	}
	p := &part{name: c.Output + ".part", into: c.Output, fresh: true}
	_, err := os.Lstat(p.name)
	begun := !errors.Is(err, fs.ErrNotExist)
	switch {
	case begun && !c.Resume:
		return nil, fmt.Errorf("%s is there: go on with it by --resume, or delete it and %s", p.name, p.sidecar())
	case begun:
		if err := c.resumable(p, q); err != nil {
			return nil, err
		}
	default:
		if err := p.describe(partQuery{q.Site, q.From, q.To, c.Format, q.End}); err != nil {
			return nil, err
		}
	}
	if p.file, err = os.OpenFile(p.name, os.O_RDWR|os.O_CREATE, 0o600); err != nil {
		return nil, fmt.Errorf("opening the export: %w", err)
	}
	if err := p.cut(q, f); err != nil {
		return nil, errors.Join(fmt.Errorf("going on with %s: %w", p.name, err), p.file.Close())
	}
	return p, nil
}

func (p *part) sidecar() string { return p.name + ".json" }

// describe is on disk before the first record is.
func (p *part) describe(q partQuery) error {
	text, err := json.Marshal(q)
	if err != nil {
		return err
	}
	return writeSynced(p.sidecar(), append(text, '\n'))
}

// resumable takes over where the export that was begun ends, and refuses one of another query.
func (c *exportRecords) resumable(p *part, q *ledger.Query) error {
	text, err := os.ReadFile(p.sidecar())
	if err != nil {
		return fmt.Errorf("what %s is an export of cannot be read: %w; delete it, and begin anew", p.name, err)
	}
	d := json.NewDecoder(bytes.NewReader(text))
	d.DisallowUnknownFields()
	var was partQuery
	if err := d.Decode(&was); err != nil || was.End < 0 {
		return fmt.Errorf("%s is not as Stile wrote it: delete it and %s, and begin anew", p.sidecar(), p.name)
	}
	now := partQuery{q.Site, q.From, q.To, c.Format, was.End}
	if was.Site != now.Site || !was.From.Equal(now.From) || !was.To.Equal(now.To) || was.Format != now.Format {
		return fmt.Errorf("%s was begun with%s: give the same, or delete it and %s", p.name, was.flags(), p.sidecar())
	}
	if was.End > q.End {
		return fmt.Errorf("%s was begun with a ledger of %d records or more, this one has %d: it is another ledger; delete the file and %s, and begin anew", p.name, was.End, q.End, p.sidecar())
	}
	q.End = was.End
	return nil
}

// flags are what an export is asked for by.
func (q partQuery) flags() string {
	text := " --format " + q.Format
	if q.Site != "" {
		text += " --site " + q.Site
	}
	for _, at := range []struct {
		flag string
		time time.Time
	}{{" --from ", q.From}, {" --to ", q.To}} {
		if !at.time.IsZero() {
			text += at.flag + at.time.Format(time.RFC3339Nano)
		}
	}
	return text
}

// cut leaves whole lines, and starts the query behind the last one.
func (p *part) cut(q *ledger.Query, f format) error {
	size, err := p.file.Seek(0, io.SeekEnd)
	if err != nil {
		return err
	}
	line, end, err := lastLine(p.file, size)
	if err != nil {
		return err
	}
	if end < int64(len(f.header)) {
		end = 0 // not even the header is whole
	}
	if end > int64(len(f.header)) {
		number, err := f.number(line)
		if err != nil || number < 0 || number >= q.End {
			return fmt.Errorf("its last line is no record of this export: delete it and %s, and begin anew", p.sidecar())
		}
		q.Start = number + 1
	}
	if err := p.file.Truncate(end); err != nil {
		return err
	}
	p.fresh = end == 0
	_, err = p.file.Seek(end, io.SeekStart)
	return err
}

// lastLine returns the last whole line of a file, and where it ends.
func lastLine(f io.ReaderAt, size int64) (line []byte, end int64, err error) {
	var tail []byte // from start to size
	for start := size; start > 0; {
		step := min(start, 64<<10)
		start -= step
		block := make([]byte, step, step+int64(len(tail)))
		if _, err := f.ReadAt(block, start); err != nil {
			return nil, 0, err
		}
		tail = append(block, tail...)
		last := bytes.LastIndexByte(tail, '\n')
		if last < 0 {
			tail = tail[:0] // a part of the half line
			continue
		}
		before := bytes.LastIndexByte(tail[:last], '\n')
		if before >= 0 || start == 0 {
			return tail[before+1 : last], start + int64(last) + 1, nil
		}
	}
	return nil, 0, nil
}

// keep puts what was written on disk, to go on with it later.
func (p *part) keep() error { return errors.Join(p.file.Sync(), p.file.Close()) }

// finish gives the whole file its name.
func (p *part) finish() error {
	if err := p.keep(); err != nil {
		return fmt.Errorf("finishing %s: %w", p.into, err)
	}
	if err := os.Rename(p.name, p.into); err != nil {
		return fmt.Errorf("finishing %s: %w", p.into, err)
	}
	if err := errors.Join(os.Remove(p.sidecar()), syncFolder(filepath.Dir(p.into))); err != nil {
		return fmt.Errorf("finishing %s: %w", p.into, err)
	}
	return nil
}

// writeSynced writes a file that its owner alone can read, and that is on disk when it returns.
func writeSynced(name string, text []byte) error {
	f, err := os.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(text)
	return errors.Join(err, f.Sync(), f.Close())
}

// syncFolder puts on disk what its files are called.
func syncFolder(name string) error {
	f, err := os.Open(name)
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}
