package receipt

import (
	"errors"
	"fmt"
	"regexp"

	"golang.org/x/mod/sumdb/note"

	"github.com/stilehq/stile/server/merkle"
)

// origin is the name of a log: it is made with the log's database.
var origin = regexp.MustCompile(`^stile/[0-9a-f]{32}$`)

// readCheckpoint reads a checkpoint, whoever signed it.
func readCheckpoint(msg []byte) (merkle.Checkpoint, error) {
	c, err := merkle.Unverified(msg)
	if err != nil {
		return merkle.Checkpoint{}, fmt.Errorf("the log's checkpoint cannot be read: %w", err)
	}
	if !origin.MatchString(c.Origin) {
		return merkle.Checkpoint{}, fmt.Errorf("the log's checkpoint is of %q, which is no log of Stile's", c.Origin)
	}
	return c, nil
}

// verifyCheckpoint checks that a checkpoint is signed by one of the keys.
func verifyCheckpoint(msg []byte, keys note.Verifiers) error {
	_, err := note.Open(msg, keys)
	var forged *note.InvalidSignatureError
	var unknown *note.UnverifiedNoteError
	switch {
	case errors.As(err, &forged):
		return fmt.Errorf("the log's checkpoint does not have the signature of %s+%08x that it says: it was altered after it was signed", forged.Name, forged.Hash)
	case errors.As(err, &unknown):
		return errors.New("the log's checkpoint is signed by none of the keys given: it is of another log, or a key is missing; get the keys " +
			"from /stile/log/keys of the site")
	case err != nil:
		return fmt.Errorf("the signatures of the log's checkpoint cannot be checked: %w", err)
	}
	return nil
}
