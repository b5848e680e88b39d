package main

type recordsCommand struct {
	Erase    eraseRecords    `cmd:"" help:"Erase all records of a visitor, for good."`
	Withdraw withdrawRecords `cmd:"" help:"Take back a visitor's consent for them, as far as this server can."`
	Trail    trailRecords    `cmd:"" help:"Print who looked at, exported or erased what."`
}
