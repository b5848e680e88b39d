package server

import (
	"context"
	"fmt"
	"io"
	"log"
	"net/http"
	"strconv"
	"strings"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

// auditor reads a log's tiles. It trusts none of them: tlog.TileHashReader checks them against what was signed.
type auditor struct{ site string }

func (a auditor) fetch(path string) ([]byte, error) {
	r, err := http.NewRequestWithContext(context.Background(), http.MethodGet, a.site+"/stile/log/"+path, http.NoBody)
	if err != nil {
		return nil, err
	}
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("%s: %s", path, resp.Status)
	}
	return io.ReadAll(resp.Body)
}

func (a auditor) Height() int { return 8 }

func (a auditor) ReadTiles(tiles []tlog.Tile) (list [][]byte, err error) {
	for _, t := range tiles {
		data, err := a.fetch(t.Path())
		if err != nil {
			return nil, err
		}
		list = append(list, data)
	}
	return list, nil
}

func (a auditor) SaveTiles([]tlog.Tile, [][]byte) {}

// audit checks, with nothing of Stile's, that the log of a site has a record where its receipt says.
func audit(site string, key note.Verifier, number int64, record []byte) error {
	a := auditor{site}
	msg, err := a.fetch("checkpoint")
	if err != nil {
		return err
	}
	signed, err := note.Open(msg, note.VerifierList(key))
	if err != nil {
		return err
	}
	lines := strings.Split(signed.Text, "\n") // the log's name, its size, its root, the time
	size, err := strconv.ParseInt(lines[1], 10, 64)
	if err != nil {
		return err
	}
	root, err := tlog.ParseHash(lines[2])
	if err != nil {
		return err
	}
	proof, err := tlog.ProveRecord(size, number, tlog.TileHashReader(tlog.Tree{N: size, Hash: root}, a))
	if err != nil {
		return err
	}
	return tlog.CheckRecord(proof, size, root, number, tlog.RecordHash(record))
}

func Example_audit() {
	kept, err := newMemoryLog(1000)
	if err != nil {
		log.Fatal(err)
	}
	server, _ := serveLog(kept)
	defer server.Close()
	defer http.DefaultClient.CloseIdleConnections()

	fmt.Println(audit(server.URL, kept.key, 321, []byte(`{"record":321}`)))
	fmt.Println(audit(server.URL, kept.key, 321, []byte(`{"record":321,"granted":"all"}`)))
	// Output:
	// <nil>
	// invalid transparency proof
}
