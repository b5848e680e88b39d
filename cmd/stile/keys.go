package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"text/tabwriter"
	"time"

	"github.com/stilehq/stile/server/cookie"
	"github.com/stilehq/stile/server/keys"
)

type keysCommand struct {
	List   listKeys   `cmd:"" help:"List the keys, newest first: which sign, whose signatures still count, which are retired."`
	New    newKey     `cmd:"" help:"Make a new key. It signs from the next reload (SIGHUP) or restart on; older ones are still believed."`
	Retire retireKey  `cmd:"" help:"Take an older key out of use. Choices and mail links that a cookie key signed are no longer believed; what a key of receipts or of the log signed still verifies."`
	Public publicKeys `cmd:"" help:"Print the public keys of receipts and log, for auditors, as /stile/log/keys does."`
}

// givenKeys are keys that do not come from the data folder.
type givenKeys struct {
	Keys        []string `env:"STILE_KEYS" placeholder:"HEX" help:"Signing keys of choices, newest first, 64 hex digits each (better by the environment). Without any they are kept in the data folder."`
	ReceiptKeys []string `env:"STILE_RECEIPT_KEYS" placeholder:"HEX" help:"The same for receipts; retired ones by their public line. Processes that share --keys share these and --log-keys too."`
	LogKeys     []string `env:"STILE_LOG_KEYS" placeholder:"HEX" help:"The same for the log."`
}

func (g givenKeys) ring() (keys.Ring, error) {
	return keys.Parse(g.Keys, g.ReceiptKeys, g.LogKeys)
}

type keyFolder struct {
	Data string `env:"STILE_DATA" default:"data" help:"Data folder."`
}

func (k keyFolder) path() string { return filepath.Join(k.Data, "keys") }

// variables hold keys in place of those in the folder.
var variables = map[keys.Kind]string{keys.Cookie: "STILE_KEYS", keys.Receipt: "STILE_RECEIPT_KEYS", keys.Log: "STILE_LOG_KEYS"}

// changeable tells why the keys of a kind cannot be changed in the data folder.
func (k keyFolder) changeable(kind keys.Kind) error {
	if v := variables[kind]; os.Getenv(v) != "" {
		return fmt.Errorf("keys of kind %s are those of %s, not those in %s: change them there, newest first (openssl rand -hex 32)", kind, v, k.path())
	}
	if _, err := os.Stat(k.Data); errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("there is no data folder %s: name the one that stile serve uses with --data", k.Data)
	}
	return nil
}

type listKeys struct {
	keyFolder
	givenKeys
	JSON bool `name:"json" help:"Print JSON."`
}

// Run lists the keys that stile serve has with the same flags and environment.
func (c *listKeys) Run(std streams) error {
	ring, err := c.ring()
	if err != nil {
		return err
	}
	if ring, err = ring.Read(c.path()); err != nil {
		return err
	}
	list := ring.List()
	if len(list) == 0 {
		return fmt.Errorf("there are no keys in %s: stile serve makes one on its first start", c.path())
	}
	if c.JSON {
		return printJSON(std.out, list)
	}
	t := tabwriter.NewWriter(std.out, 0, 8, 2, ' ', 0)
	fmt.Fprintln(t, "NAME\tKIND\tMADE\tSTATE\tPUBLIC KEY")
	for _, k := range list {
		made, public := "-", "-"
		if !k.Made.IsZero() {
			made = k.Made.Format(time.RFC3339)
		}
		if k.Public != "" {
			public = k.Public
		}
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%s\n", k.Name, k.Kind, made, k.State, public)
	}
	return t.Flush()
}

type newKey struct {
	Kind keys.Kind `arg:"" optional:"" enum:"cookie,receipt,log" default:"cookie" help:"cookie (choices), receipt or log."`
	keyFolder
}

func (c *newKey) Run(std streams) error {
	if err := c.changeable(c.Kind); err != nil {
		return err
	}
	name, err := keys.New(c.path(), c.Kind, time.Now())
	if err != nil {
		return err
	}
	fmt.Fprintf(std.out, "%s\nsend SIGHUP to stile serve to sign with it\n", name)
	return nil
}

type retireKey struct {
	Name string `arg:"" help:"Name of the key, as stile keys list prints it."`
	Now  bool   `help:"Retire a cookie key although choices that it signed still hold: their visitors are asked again."`
	keyFolder
}

// Run retires a key and says what becomes of what it signed.
func (c *retireKey) Run(std streams) error {
	if _, err := os.Stat(c.path()); err != nil {
		return fmt.Errorf("there are no keys in %s: name the folder that stile serve uses with --data", c.path())
	}
	ring, err := keys.Read(c.path())
	if err != nil {
		return err
	}
	key, err := ring.Find(c.Name)
	if err != nil {
		return err
	}
	if err := c.changeable(key.Kind); err != nil {
		return err
	}
	if key.State != keys.Signs && key.Kind == keys.Cookie && !c.Now {
		if err := wait(key, time.Now()); err != nil {
			return err
		}
	}
	if err := keys.Retire(c.path(), key.Name); err != nil {
		return err
	}
	fmt.Fprint(std.out, key.Name, " is retired, from the next reload (SIGHUP) or restart of stile serve on.\n", effect(key, time.Now()))
	return nil
}

// holds is until when a choice can hold that a key signed before the next one was made.
func holds(key keys.Info) time.Time { return key.Next.Add(cookie.MaxAge * time.Second) }

// wait tells how long a cookie key is still needed.
func wait(key keys.Info, now time.Time) error {
	end := holds(key)
	if !now.Before(end) {
		return nil
	}
	days := int(end.Sub(now)/(24*time.Hour)) + 1
	return fmt.Errorf("%s signed choices that hold until %s at the latest, in %d days: retire it from then on, or now with --now "+
		"and have those visitors asked again", key.Name, end.Format(time.RFC3339), days)
}

// effect is what a retirement does, in plain words.
func effect(key keys.Info, now time.Time) string {
	switch {
	case key.Kind != keys.Cookie:
		return "What it signed still verifies: its public part stays. It signs nothing more.\n"
	case now.Before(holds(key)):
		return "Choices that it signed are no longer believed: their visitors are asked again.\n" + always
	}
	return "Choices that it signed have run out since " + holds(key).Format(time.RFC3339) + ": nobody is asked again because of it.\n" + always
}

const always = `Links in mails that it signed, which may have been made to hold longer, lead nowhere.
Nothing is deleted from the ledger. Its file is deleted: only a backup brings it back.
`

type publicKeys struct {
	keyFolder
	givenKeys
}

// Run prints the same as /stile/log/keys.
func (c *publicKeys) Run(std streams) error {
	ring, err := c.ring()
	if err != nil {
		return err
	}
	if ring, err = ring.Read(c.path()); err != nil {
		return err
	}
	text := ring.Publish()
	if text == "" {
		return fmt.Errorf("there are no keys of receipts and log in %s: stile serve makes them on its first start", c.path())
	}
	fmt.Fprint(std.out, text)
	return nil
}
