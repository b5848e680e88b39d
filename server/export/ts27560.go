package export

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"

	"github.com/google/uuid"

	"github.com/stilehq/stile/server/ledger"
	"github.com/stilehq/stile/server/receipt"
)

// mostWords is how many texts are held. A site has one for each language and regime, of some 20 KB; most records are of few.
const mostWords = 256

// words27560 is what the records name, as it is looked up.
type words27560 struct {
	ctx   context.Context //nolint:containedctx // of the one export that it is made for
	db    *ledger.Ledger
	base  string
	texts map[[2]string][]byte // site and hash
	lists map[string]map[string][]string
}

// TS27560 is a JSON-LD object a line, in the terms of ISO/IEC TS 27560 and DPV (C7). Base is the consent host,
// https://consent.shop.example, where the words can be read again. It is of one export: ctx is that one's.
func TS27560(ctx context.Context, db *ledger.Ledger, base string) Format {
	w := &words27560{ctx, db, base, map[[2]string][]byte{}, map[string]map[string][]string{}}
	return Format{Write: w.write, Number: w.number}
}

func (w *words27560) write(to *bytes.Buffer, r *ledger.Record) error {
	text, err := w.text(r)
	if err != nil {
		return err
	}
	lists, ok := w.lists[r.Site]
	if _, known := lists[r.List]; !ok || !known { // one that was published meanwhile
		if lists, err = w.db.Lists(w.ctx, r.Site); err != nil {
			return err
		}
		if lists[r.List] == nil {
			lists[r.List] = nil // not kept: it is not looked up again
		}
		w.lists[r.Site] = lists
	}
	line, err := receipt.Record27560(w.base, r, text, lists[r.List])
	if err != nil {
		return err
	}
	_, err = to.Write(line)
	return err
}

// text is nil where it is not kept.
func (w *words27560) text(r *ledger.Record) ([]byte, error) {
	key := [2]string{r.Site, r.Notice}
	if text, ok := w.texts[key]; ok {
		return text, nil
	}
	n, err := w.db.Notice(w.ctx, r.Site, r.Notice)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	if len(w.texts) >= mostWords {
		clear(w.texts)
	}
	w.texts[key] = n.Text
	return n.Text, nil
}

// number looks the record up: the document has the record's id, and not its number.
func (w *words27560) number(line []byte) (int64, error) {
	var r struct {
		ID   uuid.UUID `json:"dct:identifier"`
		Site string    `json:"stile:site"`
	}
	if err := json.Unmarshal(line, &r); err != nil {
		return 0, err
	}
	found, err := w.db.Find(w.ctx, r.Site, r.ID)
	if errors.Is(err, fs.ErrNotExist) {
		return 0, fmt.Errorf("record %s was erased", r.ID)
	}
	return found.Leaf, err
}
