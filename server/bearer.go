package server

import (
	"crypto/sha256"
	"crypto/subtle"
	"net/http"
	"strings"
)

// bears tells whether a request carries a key, in "Authorization: Bearer KEY". The digests are compared, which are of one
// length, in a time that says nothing.
func bears(r *http.Request, key string) bool {
	given, bearer := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	got, want := sha256.Sum256([]byte(given)), sha256.Sum256([]byte(key))
	same := subtle.ConstantTimeCompare(got[:], want[:]) == 1
	return same && bearer && key != ""
}
