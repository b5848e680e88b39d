package main

import (
	"context"
	"errors"
	"time"

	"github.com/stilehq/stile/server/ledger"
)

// operator is who gives a command, for the audit trail.
type operator struct {
	By string `env:"STILE_OPERATOR" placeholder:"NAME" help:"Who does it, for the audit trail."`
}

// Validate refuses a name that the audit trail would refuse.
func (o operator) Validate() error { return checkOperator(o.By) }

// auditedIn notes what the operator did with the ledger in a data folder.
func (o operator) auditedIn(ctx context.Context, data string, what ledger.Audit) (err error) {
	db, err := ledgerFlags{Data: data}.open(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	return o.audited(ctx, db, what)
}

// audited notes what the operator did, before the command says that it is done.
func (o operator) audited(ctx context.Context, db *ledger.Ledger, what ledger.Audit) error {
	what.Actor, what.Time = ledger.Operator(o.By), time.Now()
	_, err := db.Note(ctx, what)
	return err
}
