package main

import (
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"net/mail"
	"os"
	"slices"
)

// recipient is who gets a mail. Receipt is the id of a consent record of theirs, which the shop has kept from their visit
// with their address, or "".
type recipient struct {
	Address mail.Address
	Receipt string
}

// readRecipients reads a CSV file whose first line is email,name,receipt.
func readRecipients(path string) ([]recipient, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	r := csv.NewReader(f)
	r.FieldsPerRecord = 3
	if head, err := r.Read(); err != nil || !slices.Equal(head, []string{"email", "name", "receipt"}) {
		return nil, fmt.Errorf("%s does not begin with the line email,name,receipt", path)
	}
	var all []recipient
	for {
		row, err := r.Read()
		if errors.Is(err, io.EOF) {
			return all, nil
		}
		if err != nil {
			return nil, fmt.Errorf("reading %s: %w", path, err)
		}
		address, err := mail.ParseAddress(row[0])
		if err != nil || address.Address != row[0] {
			line, _ := r.FieldPos(0)
			return nil, fmt.Errorf("%s:%d: %q is no e-mail address", path, line, row[0])
		}
		all = append(all, recipient{mail.Address{Name: row[1], Address: row[0]}, row[2]})
	}
}
