package cookie

import (
	"errors"

	"github.com/gorilla/securecookie"
)

// What can be wrong with a value that is no choice, for whoever explains it to a person. To the gate all of it is the same.
const (
	Unreadable = "unreadable" // it is none, or a part of one
	Unsigned   = "unsigned"   // no key that is known signed it for the site
	Expired    = "expired"    // it was signed longer than MaxAge ago
)

// Fault is what an error of Decode says about the value.
func Fault(err error) string {
	var each securecookie.MultiError
	if !errors.As(err, &each) {
		return Unreadable
	}
	fault := Unreadable
	for _, e := range each {
		switch {
		case e.Error() == "securecookie: expired timestamp":
			return Expired
		case errors.Is(e, securecookie.ErrMacInvalid):
			fault = Unsigned
		}
	}
	return fault
}
