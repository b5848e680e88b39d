package ledger

import (
	"errors"
	"fmt"

	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"
)

var (
	// ErrBusy is returned by Append when more is waiting than the ledger takes: nothing was stored, retry later.
	ErrBusy = errors.New("too many records are waiting to be stored: try again later")

	// ErrClosed is returned by Append after Close: nothing was stored.
	ErrClosed = errors.New("the ledger is closed")

	errTaken = errors.New("its id is that of another record")
)

// code is SQLite's primary result code of an error, 0 for an error that is not SQLite's.
func code(err error) int {
	var e *sqlite.Error
	if !errors.As(err, &e) {
		return 0
	}
	return e.Code() & 0xff
}

// ownFault tells whether an error is of one record alone and leaves the transaction as it was.
func ownFault(err error) bool {
	switch code(err) {
	case sqlite3.SQLITE_CONSTRAINT, sqlite3.SQLITE_MISMATCH, sqlite3.SQLITE_TOOBIG:
		return true
	}
	return errors.Is(err, errTaken)
}

// explain says in one line what an operator can do about an error of the database at path.
func explain(path string, err error) error {
	var words string
	switch code(err) {
	case sqlite3.SQLITE_NOTADB:
		words = "is not a Stile database: name another file"
	case sqlite3.SQLITE_CORRUPT:
		words = "is damaged: restore it from a backup"
	case sqlite3.SQLITE_FULL:
		words = "has no room left: free some space on its disk"
	case sqlite3.SQLITE_BUSY:
		words = "is locked by another process: end that process or wait for it"
	case sqlite3.SQLITE_READONLY, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_PERM:
		words = "cannot be written: let this user write the file and its folder"
	default:
		return err
	}
	return fmt.Errorf("the database %s %s (%w)", path, words, err)
}
