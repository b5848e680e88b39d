package export

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"

	"github.com/stilehq/stile/server/ledger"
)

// Source has the records: a *ledger.Ledger.
type Source interface {
	// Export calls fn for each record of a query, in the order of storing, and holds a page of them at most.
	Export(ctx context.Context, q ledger.Query, fn func(*ledger.Record) error) error
}

// Write writes the records of a query and says how many they were. Begin says that the header is still to be written. What
// it wrote ends with a whole record, unless writing itself failed. After each page, page is told the number of the log that
// comes next, and how many records there were; where ctx has ended it ends there.
func Write(ctx context.Context, from Source, q ledger.Query, f Format, to io.Writer, begin bool, page func(next, records int64)) (n int64, err error) {
	out := bufio.NewWriterSize(to, 256<<10)
	if begin {
		_, _ = out.WriteString(f.Header) // it says so when it is flushed
	}
	var line bytes.Buffer
	q.Page = func(next int64) error {
		page(next, n)
		return ctx.Err()
	}
	err = from.Export(ctx, q, func(r *ledger.Record) error {
		line.Reset()
		if err := f.Write(&line, r); err != nil {
			return fmt.Errorf("writing record %s: %w", r.ID, err)
		}
		if _, err := out.Write(line.Bytes()); err != nil {
			return fmt.Errorf("writing the records: %w", err)
		}
		n++
		return nil
	})
	if flushed := out.Flush(); err == nil && flushed != nil {
		err = fmt.Errorf("writing the records: %w", flushed)
	}
	return n, err
}
