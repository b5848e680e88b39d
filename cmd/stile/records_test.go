package main

import (
	"bytes"
	"encoding/hex"
	"os"
	"path/filepath"

	"github.com/stilehq/stile/server/receipt"
	"github.com/stilehq/stile/server/receipt/receipttest"
)

// writeReceipts writes into a folder what the script of records verify needs: a receipt, others that are not genuine, and
// keys.
func writeReceipts(folder string) error {
	log, key := receipttest.NewLog("shop"), receipttest.NewKey("receipt")
	r := receipttest.Shop(log)
	genuine, err := receipt.Make(r, key)
	if err != nil {
		return err
	}
	elsewhere, err := receipt.Make(receipttest.Shop(receipttest.NewLog("elsewhere")), key)
	if err != nil {
		return err
	}
	forged, err := receipt.Make(r, receipttest.NewKey("forger"))
	if err != nil {
		return err
	}
	data := filepath.Join(folder, "machine", "keys")
	if err := os.MkdirAll(data, 0o700); err != nil {
		return err
	}
	for name, text := range map[string][]byte{
		"receipt.json":   genuine,
		"elsewhere.json": elsewhere,
		"forged.json":    forged,
		"altered.json":   bytes.Replace(genuine, []byte(`"stile:denied": ["analytics", "marketing"]`), []byte(`"stile:denied": ["analytics"]`), 1),
		"half.json":      genuine[:len(genuine)/2],
		"huge.json":      bytes.Repeat([]byte(" "), receipt.MaxSize+10),
		"keys.txt":       []byte("# receipt 2026-11-23 signs\n" + key.Line + "\n\n# log\n  " + log.Key.Line + "\n" + key.Line + "\n"),
		"log-key.txt":    []byte(log.Key.Line),
		"receipt-key":    []byte(key.Line),

		"machine/keys/receipt-20261101T000000Z.pub": []byte(key.Line + "\n"),
		"machine/keys/log-20261101T000000Z.key":     []byte(hex.EncodeToString(log.Key.Seed) + "\n"),
	} {
		if err := os.WriteFile(filepath.Join(folder, name), text, 0o600); err != nil {
			return err
		}
	}
	return nil
}
