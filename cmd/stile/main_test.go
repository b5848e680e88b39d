package main

import (
	"context"
	"io"
	"os"
	"os/signal"
	"syscall"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/stilehq/stile/server/receipt/receipttest"
)

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){
		"stile": func() {
			ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
			code := run(ctx, os.Args[1:], os.Stdout, os.Stderr)
			stop()
			os.Exit(code)
		},
	})
}

// TestScripts runs the command as a person would; the scripts are the manual of its behaviour.
func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir: "testdata",
		Setup: func(e *testscript.Env) error {
			shop, err := os.ReadFile("../../examples/shop/stile.yaml")
			if err != nil {
				return err
			}
			if err := os.CopyFS(e.WorkDir+"/policy", os.DirFS("../../examples/shop/policy")); err != nil {
				return err
			}
			if err := writeReceipts(e.WorkDir); err != nil {
				return err
			}
			return os.WriteFile(e.WorkDir+"/shop.yaml", shop, 0o600)
		},
	})
}

func TestExitCodes(t *testing.T) {
	t.Chdir(t.TempDir())
	if err := os.WriteFile("bad.yaml", []byte("site: bad\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		args []string
		want int
	}{
		{[]string{"version"}, exitFine},
		{[]string{"--help"}, exitFine},
		{[]string{"check", "bad.yaml"}, exitFound},
		{[]string{"fly"}, exitUsage},
		{[]string{"check", "--nope"}, exitUsage},
		{nil, exitUsage},
		{[]string{"audit", "ftp://www.shop.example/"}, exitUsage},
		{[]string{"audit", "https://www.shop.example/", "--wait", "0"}, exitUsage},
		{[]string{"audit", "https://www.shop.example/", "--region", "XX"}, exitUsage},
		{[]string{"records", "verify"}, exitUsage},
		{[]string{"records", "verify", "-", "--keys", "-"}, exitUsage},
		{[]string{"records", "verify", "nowhere.json", "--keys", "bad.yaml"}, exitFailed},
		{[]string{"records", "verify", "bad.yaml", "--keys", receipttest.NewKey("receipt").Line}, exitFound},
		{[]string{"serve", "bad.yaml", "--listen", "127.0.0.1:0", "--data", "data"}, exitFailed},
		{[]string{"explain", "bad.yaml"}, exitFailed},
	} {
		if got := run(t.Context(), test.args, io.Discard, io.Discard); got != test.want {
			t.Errorf("stile %v exits with %d, want %d", test.args, got, test.want)
		}
	}
}
