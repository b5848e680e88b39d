package main

import (
	"errors"
	"fmt"
	"net/url"
	"strings"
	"time"

	"github.com/stilehq/stile/server/consent"
	"github.com/stilehq/stile/server/gate"
)

type cspCommand struct {
	siteOf
	Base         string `default:"https://consent.example" placeholder:"URL" help:"Origin of the consent host."`
	Nonce        string `placeholder:"NONCE" help:"Let scripts in by this nonce and 'strict-dynamic', not by their hosts. A page needs a new one each time it is served."`
	TrustedTypes bool   `help:"Require trusted types. Many vendors' scripts do not work under them."`
	Region       string `placeholder:"DE" help:"Where the visitor is. Unknown unless given, which means the strictest regime."`
	Report       bool   `help:"Add where the browser reports what the policy does not allow: the site's sightings, which have to be switched on."`
	JSON         bool   `name:"json" help:"Print JSON."`
}

// statePolicy is the policy for the visitors of some states, which are the same to it.
type statePolicy struct {
	States []string `json:"states"`
	Policy string   `json:"policy"`
}

// Run prints the content security policy of a site for each consent state.
func (c *cspCommand) Run(std streams) error {
	site, err := c.load()
	if err != nil {
		return err
	}
	u, err := url.Parse(c.Base)
	if err != nil || u.Host == "" || u.Scheme != "https" && u.Scheme != "http" || strings.Trim(u.Path, "/") != "" || strings.ContainsAny(c.Base, " ;,'") {
		return fmt.Errorf("--base %s is no origin: write https://consent.shop.example", c.Base)
	}
	if strings.ContainsAny(c.Nonce, " ;,'\"") {
		return errors.New("--nonce is base64: letters, digits, + / - _ and =")
	}
	how := gate.Security{Host: u.Scheme + "://" + u.Host, Nonce: c.Nonce, TrustedTypes: c.TrustedTypes}
	reports := ""
	if c.Report {
		if site.Sightings == 0 {
			return fmt.Errorf("site %s takes no reports: switch them on with sightings in stile.yaml", site.Name)
		}
		reports = how.Host + "/stile/" + site.Name + "/reports"
	}
	var list []statePolicy
	add := func(state string, form map[string][]string) error {
		v := consent.Visit{Region: c.Region, Now: time.Now()}
		if form != nil {
			choice, _, err := consent.Parse(form, site, nil)
			if err != nil {
				return err
			}
			choice.Time = v.Now
			v.Choice = &choice
		}
		d := consent.Decide(site, v)
		policy := gate.ContentSecurityPolicy(site, &d, how)
		if reports != "" {
			policy += "; report-uri " + reports + "; report-to stile" // browsers that know the second ignore the first
		}
		for i := range list {
			if list[i].Policy == policy {
				list[i].States = append(list[i].States, state)
				return nil
			}
		}
		list = append(list, statePolicy{[]string{state}, policy})
		return nil
	}
	err = errors.Join(add("before a choice", nil), add("after a refusal", map[string][]string{"accept": {"none"}}))
	for _, category := range site.Categories {
		if !category.Required {
			err = errors.Join(err, add(category.Name+" alone", map[string][]string{"category": {category.Name}}))
		}
	}
	if err = errors.Join(err, add("everything accepted", map[string][]string{"accept": {"all"}})); err != nil {
		return err
	}
	if c.JSON {
		return printJSON(std.out, list)
	}
	for i, p := range list {
		if i > 0 {
			fmt.Fprintln(std.out)
		}
		fmt.Fprintf(std.out, "# %s\nContent-Security-Policy: %s\n", strings.Join(p.States, "; "), p.Policy)
		if reports != "" {
			fmt.Fprintf(std.out, "Reporting-Endpoints: stile=%q\n", reports)
		}
	}
	return nil
}
