// Newsletter writes the mails of a newsletter as files, for a mailer to send. Recipients who allow it get a beacon and
// tracked links, all others plain links: whether they allow it is asked of Stile when the mails are written, and decided
// again by Stile whenever one of them is opened.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"time"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	err := run(ctx, os.Args[1:])
	stop()
	if err != nil && !errors.Is(err, flag.ErrHelp) {
		fmt.Fprintln(os.Stderr, "newsletter:", err)
		os.Exit(1)
	}
}

// run writes one .eml a recipient. On an error nothing is written, but for one of the disk.
func run(ctx context.Context, args []string) error {
	f := flag.NewFlagSet("newsletter", flag.ContinueOnError)
	var (
		consent    = f.String("stile", "http://127.0.0.1:8081", "the consent host, as recipients reach it")
		site       = f.String("site", "shop", "the site's name in Stile")
		message    = f.String("message", "", "the name of this mail in Stile's report")
		from       = f.String("from", "", "the sender: Shop <news@shop.example>")
		recipients = f.String("recipients", "recipients.csv", "CSV with the columns email, name and receipt, which may be empty")
		templates  = f.String("templates", ".", "folder with letter.txt, whose first line is the subject, and letter.html")
		out        = f.String("out", "mails", "folder for the mails, made if it is not there")
	)
	if err := f.Parse(args); err != nil {
		return err
	}
	people, err := readRecipients(*recipients)
	if err != nil {
		return err
	}
	l, err := readLetter(*templates)
	if err != nil {
		return err
	}
	m := minter{consent: strings.TrimSuffix(*consent, "/"), site: *site, message: *message, key: os.Getenv("STILE_MAIL_KEY")}
	mails, err := write(ctx, l, &m, *from, people, time.Now())
	if err != nil {
		return err
	}
	if err := os.MkdirAll(*out, 0o700); err != nil {
		return err
	}
	for i, mail := range mails {
		if err := os.WriteFile(filepath.Join(*out, fmt.Sprintf("%04d.eml", i+1)), mail, 0o600); err != nil {
			return err
		}
	}
	return nil
}
