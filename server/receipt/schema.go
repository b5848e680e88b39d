package receipt

import _ "embed"

//go:embed schema.json
var schema string

// Schema is the JSON schema (draft 2020-12) of a receipt, and of a record as Record27560 writes it. It says which form they
// have; whether a receipt is genuine, Check alone can tell.
func Schema() []byte { return []byte(schema) }
