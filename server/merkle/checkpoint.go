package merkle

import (
	"bytes"
	"encoding/base64"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

// maxCheckpoint bounds what is read, in bytes: fifty signatures and more.
const maxCheckpoint = 8 << 10

// Checkpoint is a log at a moment. Signed, it is a note in the form that transparency logs have in common
// (https://c2sp.org/tlog-checkpoint), with the time as the line that such a form leaves to the log:
//
//	stile/0123456789abcdef0123456789abcdef
//	1234
//	Kv6dHwtJkWlo4GHnXcVzMCXFV7mYrkTC+VbFRnWt0xY=
//	2026-11-01T09:30:00.250Z
//
//	— stile 5nqBXrhN...
type Checkpoint struct {
	Origin string // the log's name: UTF-8 without white space, control characters or +
	Size   int64
	Root   tlog.Hash
	Time   time.Time // UTC; milliseconds are signed
}

// Tree is what a checkpoint says of its log.
func (c Checkpoint) Tree() tlog.Tree { return tlog.Tree{N: c.Size, Hash: c.Root} }

// timeForm is RFC 3339 in one way only.
const timeForm = "2006-01-02T15:04:05.000Z"

// text is what is signed. A checkpoint that has none is an error.
func (c Checkpoint) text() (string, error) {
	at := c.Time.UTC()
	if err := checkSize(c.Size); err != nil {
		return "", err
	}
	switch {
	case !validOrigin(c.Origin):
		return "", fmt.Errorf("%q is no name for a log: it has no white space, no control characters and no +", c.Origin)
	case c.Size == 0 && c.Tree() != Empty():
		return "", fmt.Errorf("%v is not the root of an empty log", c.Root)
	case c.Time.IsZero() || at.Year() < 1 || at.Year() > 9999:
		return "", errors.New("there is no time of the checkpoint")
	}
	return fmt.Sprintf("%s\n%d\n%v\n%s\n", c.Origin, c.Size, c.Root, at.Format(timeForm)), nil
}

func validOrigin(s string) bool {
	odd := func(r rune) bool { return unicode.IsSpace(r) || unicode.IsControl(r) || r == '+' }
	return s != "" && utf8.ValidString(s) && !strings.ContainsFunc(s, odd)
}

// Sign makes the signed note, with a signature by each signer. What of the time is less than a millisecond is dropped.
func (c Checkpoint) Sign(signers ...note.Signer) ([]byte, error) {
	text, err := c.text()
	if err != nil {
		return nil, fmt.Errorf("signing a checkpoint: %w", err)
	}
	if len(signers) == 0 {
		return nil, errors.New("signing a checkpoint: there is no key")
	}
	msg, err := note.Sign(&note.Note{Text: text}, signers...)
	if err != nil {
		return nil, fmt.Errorf("signing a checkpoint: %w", err)
	}
	if _, err := Unverified(msg); err != nil {
		return nil, fmt.Errorf("signing a checkpoint: %w", err)
	}
	return msg, nil
}

// Parse reads a signed checkpoint of a log. It takes nothing that Sign would not have written, and at least one signature
// must be by a key that is given; there may be others, as while keys change.
func Parse(msg []byte, origin string, keys note.Verifiers) (Checkpoint, error) {
	c, err := Unverified(msg)
	if err != nil {
		return Checkpoint{}, err
	}
	var none *note.UnverifiedNoteError
	var wrong *note.InvalidSignatureError
	switch _, err := note.Open(msg, keys); {
	case errors.As(err, &none):
		return Checkpoint{}, fmt.Errorf("the checkpoint is signed by none of the keys given, but by %s", names(none.Note.UnverifiedSigs))
	case errors.As(err, &wrong):
		return Checkpoint{}, fmt.Errorf("the checkpoint was altered after it was signed: the signature of key %s+%08x does not fit it", wrong.Name, wrong.Hash)
	case err != nil:
		return Checkpoint{}, fmt.Errorf("the checkpoint's signatures cannot be checked: %w", err)
	case c.Origin != origin:
		return Checkpoint{}, fmt.Errorf("the checkpoint is of another log (origin %s, not %s)", c.Origin, origin)
	}
	return c, nil
}

func names(sigs []note.Signature) string {
	var list []string
	for _, s := range sigs {
		list = append(list, fmt.Sprintf("%s+%08x", s.Name, s.Hash))
	}
	return strings.Join(list, ", ")
}

// Unverified reads a checkpoint and checks its form alone, not who signed it: for one that was stored by who signed it.
func Unverified(msg []byte) (Checkpoint, error) {
	c, err := parse(msg)
	if err != nil {
		return Checkpoint{}, fmt.Errorf("this is not a checkpoint of Stile's: %w", err)
	}
	return c, nil
}

func parse(msg []byte) (Checkpoint, error) {
	if len(msg) > maxCheckpoint {
		return Checkpoint{}, fmt.Errorf("it is longer than %d bytes", maxCheckpoint)
	}
	var unverified *note.UnverifiedNoteError
	if _, err := note.Open(msg, nil); !errors.As(err, &unverified) {
		return Checkpoint{}, errors.New("it is not a text with signatures below it")
	}
	if err := checkSignatures(msg, unverified.Note); err != nil {
		return Checkpoint{}, err
	}
	return parseText(unverified.Note.Text)
}

// checkSignatures refuses what package note reads but does not write: a signature twice, and more than one way to write one.
func checkSignatures(msg []byte, n *note.Note) error {
	if lines := bytes.Count(msg, []byte("\n")) - strings.Count(n.Text, "\n") - 1; lines != len(n.UnverifiedSigs) {
		return errors.New("it has a signature twice")
	}
	seen := map[string]bool{}
	for _, s := range n.UnverifiedSigs {
		key := fmt.Sprintf("%s+%08x", s.Name, s.Hash)
		if seen[key] {
			return fmt.Errorf("it has two signatures of key %s", key)
		}
		seen[key] = true
		if _, err := base64.StdEncoding.Strict().DecodeString(s.Base64); err != nil {
			return fmt.Errorf("the signature of key %s is written in another way", key)
		}
	}
	return nil
}

// parseText reads the four lines, which must be those that their values are written as.
func parseText(text string) (Checkpoint, error) {
	lines := strings.Split(text, "\n")
	if len(lines) != 5 { // the last one is empty
		return Checkpoint{}, fmt.Errorf("it has %d lines above the signatures, not 4: origin, size, root and time", len(lines)-1)
	}
	size, err := strconv.ParseInt(lines[1], 10, 64)
	if err != nil {
		return Checkpoint{}, fmt.Errorf("its size %q is not a whole number", lines[1])
	}
	root, err := tlog.ParseHash(lines[2])
	if err != nil {
		return Checkpoint{}, fmt.Errorf("its root %q is not the base64 of 32 bytes", lines[2])
	}
	at, err := time.Parse(timeForm, lines[3])
	if err != nil {
		return Checkpoint{}, fmt.Errorf("its time %q is not one like %s", lines[3], timeForm)
	}
	c := Checkpoint{Origin: lines[0], Size: size, Root: root, Time: at}
	switch again, err := c.text(); {
	case err != nil:
		return Checkpoint{}, err
	case again != text:
		return Checkpoint{}, errors.New("its size, root or time are written in another way")
	}
	return c, nil
}
