package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"maps"
	"net/http"
	"time"
)

// sample is one answer of Stile, which the rivals repeat.
type sample struct {
	Status int
	Header http.Header
	Body   []byte
}

// get asks with exactly these headers; the body is as it came, compressed or not.
func get(ctx context.Context, url string, header http.Header) (sample, error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return sample{}, err
	}
	maps.Copy(req.Header, header)
	return do(http.DefaultClient, req)
}

func do(client *http.Client, req *http.Request) (sample, error) {
	res, err := client.Do(req)
	if err != nil {
		return sample{}, err
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	return sample{res.StatusCode, res.Header, body}, err
}

// settled returns the answer once the server compressed it as far as it goes, which it does in the background.
func settled(ctx context.Context, url string, header http.Header) (sample, error) {
	var last sample
	same := 0
	for range 100 {
		s, err := get(ctx, url, header)
		if err != nil {
			return sample{}, err
		}
		if s.Status != http.StatusOK {
			return sample{}, fmt.Errorf("%s answers %d: %s", url, s.Status, s.Body)
		}
		if same++; !bytes.Equal(s.Body, last.Body) {
			same = 0
		}
		if last = s; same == 5 {
			return s, nil
		}
		select {
		case <-time.After(100 * time.Millisecond):
		case <-ctx.Done():
			return sample{}, ctx.Err()
		}
	}
	return sample{}, fmt.Errorf("%s never answers the same twice", url)
}
