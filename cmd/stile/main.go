// Stile is a self-hosted consent gate: one script tag shows the banner, remembers the visitor's signed choice, and lets
// through only the tags of the categories that the visitor accepted.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"

	"github.com/alecthomas/kong"
)

// Exit codes.
const (
	exitFine   = 0
	exitFound  = 1 // the check found something
	exitUsage  = 2
	exitFailed = 3
)

// errFound ends a command whose check found something, after it has said what.
var errFound = errors.New("found something")

// commands is the command line.
type commands struct {
	Demo     demoCommand     `cmd:"" help:"Serve the example shop, its consent host and stand-in third parties on loopback."`
	Serve    serveCommand    `cmd:"" help:"Serve the sites of a file or folder."`
	Proxy    proxyCommand    `cmd:"" help:"Serve a site that cannot be edited with its tags gated, and Stile on the same origin."`
	Check    checkCommand    `cmd:"" help:"Validate and lint site files. Exits 1 if one has an error."`
	Explain  explainCommand  `cmd:"" help:"Print each tag of a site: released or withheld, because."`
	Audit    auditCommand    `cmd:"" help:"Open a page in Chromium in each state of consent, and say what it should not have loaded or stored. Exits 1 if there is something."`
	CSP      cspCommand      `cmd:"" name:"csp" help:"Print the content security policy of a site for each consent state."`
	Init     initCommand     `cmd:"" help:"Write a starter stile.yaml, from what stands in a page when one is given."`
	Scan     scanCommand     `cmd:"" help:"List what pages ask of third parties, and whether it waits for consent. Exits 1 if something does not."`
	Vendors  vendorsCommand  `cmd:"" help:"List the vendors that Stile knows."`
	Keys     keysCommand     `cmd:"" help:"List, make and retire the keys that sign choices, receipts and the log."`
	Records  recordsCommand  `cmd:"" help:"Show, export, erase and verify records of consent."`
	Requests requestsCommand `cmd:"" help:"Print what a site's visitors asked for (see, copy, correct, delete), and by when it is due; or mark it as answered."`
	Mail     mailCommand     `cmd:"" help:"Make the links of a newsletter, or print how often they were followed."`
	User     userCommand     `cmd:"" help:"Say who may open the dashboard, under /admin/. Nobody may by default."`
	Backup   backupCommand   `cmd:"" help:"Copy the ledger, while it is served, and the keys to one file."`
	Restore  restoreCommand  `cmd:"" help:"Put a backup in place."`
	Schema   schemaCommand   `cmd:"" help:"Print the JSON schema of stile.yaml, for editors."`
	Version  versionCommand  `cmd:"" help:"Print the version."`
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	code := run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	os.Exit(code)
}

// run is the whole program but for the process: it parses the arguments, runs a command and returns the exit code.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	var c commands
	exited := -1
	parser, err := kong.New(&c, kong.Name("stile"), kong.UsageOnError(), kong.Writers(stdout, stderr),
		kong.Description("A self-hosted consent gate: a tag that the visitor declined never leaves the server."),
		kong.Exit(func(code int) { exited = code }),
		kong.BindTo(ctx, (*context.Context)(nil)), kong.Bind(streams{stdout, stderr}))
	if err != nil {
		fmt.Fprintln(stderr, "stile:", err)
		return exitFailed
	}
	command, err := parser.Parse(args)
	if exited >= 0 { // --help
		return exited
	}
	if err != nil {
		fmt.Fprintf(stderr, "stile: %v; stile --help says how\n", err)
		return exitUsage
	}
	switch err := command.Run(); {
	case err == nil:
		return exitFine
	case errors.Is(err, errFound):
		return exitFound
	default:
		fmt.Fprintln(stderr, "stile:", err)
		return exitFailed
	}
}

// streams are where a command writes.
type streams struct{ out, err io.Writer }
