package receipt

import (
	"bytes"
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"time"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

// checkpoint is what the log signed: four lines, its name, its size in decimal, its root in base64 and
// the time, to the millisecond.
type checkpoint struct {
	origin string // "stile/" and 32 hex digits, made with the log's database
	size   int64
	root   tlog.Hash
	time   time.Time
}

var origin = regexp.MustCompile(`^stile/[0-9a-f]{32}$`)

// maxEntries keeps sizes where tlog's arithmetic has no overflow.
const maxEntries = 1 << 60

var errCheckpoint = errors.New("the checkpoint is none of a log of Stile's")

// checkpointText is the text of a signed note, without its signatures.
func checkpointText(msg []byte) string {
	i := bytes.Index(msg, []byte("\n\n"))
	return string(msg[:i+1])
}

func parseCheckpoint(text string) (checkpoint, error) {
	lines := strings.Split(text, "\n")
	if len(lines) != 5 || lines[4] != "" || !origin.MatchString(lines[0]) {
		return checkpoint{}, errCheckpoint
	}
	size, err := strconv.ParseInt(lines[1], 10, 64)
	root, rootErr := tlog.ParseHash(lines[2])
	at, timeErr := time.Parse(milli, lines[3])
	switch {
	case err != nil || rootErr != nil || timeErr != nil:
		return checkpoint{}, errCheckpoint
	case size < 0 || size > maxEntries || lines[1] != strconv.FormatInt(size, 10) || lines[2] != root.String():
		return checkpoint{}, errCheckpoint
	}
	return checkpoint{lines[0], size, root, at}, nil
}

// openCheckpoint checks that a checkpoint is signed by one of the keys.
func openCheckpoint(msg []byte, keys note.Verifiers) error {
	n, err := note.Open(msg, keys)
	var forged *note.InvalidSignatureError
	var unknown *note.UnverifiedNoteError
	switch {
	case errors.As(err, &forged):
		return fmt.Errorf("the log's checkpoint does not have the signature of %s+%08x that it says: it was altered after it was signed", forged.Name, forged.Hash)
	case errors.As(err, &unknown):
		return errors.New("the log's checkpoint is signed by none of the keys given: it is of another log, or a key is missing; get the keys " +
			"from /stile/log/keys of the site")
	case err != nil:
		return fmt.Errorf("%w: %w", errCheckpoint, err)
	case n.Text != checkpointText(msg):
		return errCheckpoint
	}
	return nil
}
