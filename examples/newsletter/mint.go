package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"time"
)

// order asks Stile for a token.
type order struct {
	Kind    string `json:"kind"` // open, click or leave
	Receipt string `json:"receipt"`
	Message string `json:"message"`
	To      string `json:"to,omitempty"`
}

// token is Stile's answer. Granted tells whether the recipient allows to be counted now.
type token struct {
	Path    string `json:"path"`
	Granted bool   `json:"granted"`
}

// minter asks Stile for tokens: POST /stile/{site}/mail/token.
type minter struct{ consent, site, message, key string }

// most is how many tokens Stile makes at once.
const most = 1000

var client = &http.Client{Timeout: time.Minute}

// mint returns a token for each order.
func (m *minter) mint(ctx context.Context, orders []order) (tokens []token, err error) {
	for len(orders) > 0 {
		n := min(most, len(orders))
		some, err := m.batch(ctx, orders[:n])
		if err != nil {
			return nil, err
		}
		tokens, orders = append(tokens, some...), orders[n:]
	}
	return tokens, nil
}

func (m *minter) batch(ctx context.Context, orders []order) (tokens []token, err error) {
	body, err := json.Marshal(orders)
	if err != nil {
		return nil, err
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, m.consent+"/stile/"+m.site+"/mail/token", bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("Authorization", "Bearer "+m.key)
	resp, err := client.Do(r)
	if err != nil {
		return nil, fmt.Errorf("asking Stile for links: %w", err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		answer, _ := io.ReadAll(io.LimitReader(resp.Body, 1000)) // the status says enough without it
		return nil, fmt.Errorf("asking Stile for links: %s %s", resp.Status, bytes.TrimSpace(answer))
	}
	if err := json.NewDecoder(resp.Body).Decode(&tokens); err != nil || len(tokens) != len(orders) {
		return nil, fmt.Errorf("asking Stile for links: %d of %d came (%w)", len(tokens), len(orders), err)
	}
	return tokens, nil
}
