package main

import (
	"fmt"
	"os"
	"strings"

	"github.com/stilehq/stile/server"
)

// alertFlags are how somebody is told what to look at. What is a secret comes out of a file or the environment, and never
// out of an argument, which every user of the machine can read.
type alertFlags struct {
	AlertWebhookFile string   `env:"STILE_ALERT_WEBHOOK_FILE" placeholder:"FILE" help:"File with the URL that gets alerts by POST, as JSON. Or STILE_ALERT_WEBHOOK in the environment."`
	AlertSecretFile  string   `env:"STILE_ALERT_SECRET_FILE" placeholder:"FILE" help:"File with the secret that signs them (standardwebhooks.com): 24 characters or more, or whsec_ and base64. Or STILE_ALERT_SECRET."`
	SMTP             string   `env:"STILE_SMTP" name:"smtp" placeholder:"URL" help:"Mail server by which alerts are sent to who stands in a site's alerts: smtps://USER:PASSWORD@HOST:465 or smtp://HOST:587 (better by the environment, for its password)."`
	AlertFrom        string   `env:"STILE_ALERT_FROM" placeholder:"ADDRESS" help:"Sender of those mails."`
	AlertTo          []string `env:"STILE_ALERT_TO" placeholder:"ADDRESS" help:"Who is told by e-mail of all sites, and of the server itself."`
}

func (f alertFlags) options() (o server.AlertOptions, err error) {
	o = server.AlertOptions{SMTP: f.SMTP, From: f.AlertFrom, To: f.AlertTo}
	if o.Webhook, err = secretOf("STILE_ALERT_WEBHOOK", "--alert-webhook-file", f.AlertWebhookFile); err != nil {
		return o, err
	}
	o.Secret, err = secretOf("STILE_ALERT_SECRET", "--alert-secret-file", f.AlertSecretFile)
	return o, err
}

// secretOf reads a secret out of a file or a variable; "" where there is none.
func secretOf(env, flag, file string) (string, error) {
	secret := strings.TrimSpace(os.Getenv(env))
	if file == "" {
		return secret, nil
	}
	if secret != "" {
		return "", fmt.Errorf("there are two: leave out %s or %s", env, flag)
	}
	text, err := os.ReadFile(file)
	if err != nil {
		return "", fmt.Errorf("%s: %w", flag, err)
	}
	if secret = strings.TrimSpace(string(text)); secret == "" {
		return "", fmt.Errorf("%s: the file is empty", flag)
	}
	return secret, nil
}
