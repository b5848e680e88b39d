package thirdparty

import (
	"encoding/json"
	"fmt"
	"net/http"
	"time"
)

// ServeEvents streams the log as server-sent events. The data of an event is a JSON object:
//
//	{"reset": true, "counts": {"counter": 1, ...}, "hits": [{"party": "counter", "method": "GET", ...}]}
//
// The first one, and one after each Reset, has reset true: the reader forgets what it had. It ends with the request or
// with Close.
func (p *Parties) ServeEvents(w http.ResponseWriter, r *http.Request) {
	out := http.NewResponseController(w)
	// A stream outlives the write timeout of the server that it runs in. Not every writer has one to lift.
	_ = out.SetWriteDeadline(time.Time{})
	w.Header().Set("Content-Type", "text/event-stream")
	w.Header().Set("Cache-Control", "no-store")

	var at cursor
	for {
		n, ok, changed := p.since(&at)
		if ok {
			data, err := json.Marshal(n)
			if err != nil {
				return
			}
			if _, err := fmt.Fprintf(w, "data: %s\n\n", data); err != nil {
				return
			}
			if err := out.Flush(); err != nil {
				return
			}
		}
		select {
		case <-changed:
		case <-r.Context().Done():
			return
		case <-p.closed:
			return
		}
	}
}

// ServeJSON answers with the whole state once, in the form of the first event of ServeEvents.
func (p *Parties) ServeJSON(w http.ResponseWriter, _ *http.Request) {
	n, _, _ := p.since(&cursor{})
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	// The status is out already; a reader that went away is no news.
	_ = json.NewEncoder(w).Encode(n)
}
