package main

type recordsCommand struct {
	Export exportRecords `cmd:"" help:"Write the records of a span of time to a file."`
	Show   showRecords   `cmd:"" help:"Print all that is kept of one record: the choice, the words that were shown, policy, vendors, chain. Exits 1 if there is none."`
}
