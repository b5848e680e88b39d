package account

import (
	"context"
	"crypto/rand"
	"crypto/subtle"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"sync"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"
	"github.com/gorilla/securecookie"
	"golang.org/x/oauth2"
)

// OIDC is how users log in at an OpenID provider: authorization code, PKCE, state and nonce (OpenID Connect Core 1.0, 3.1).
// Make it with NewOIDC.
type OIDC struct {
	OIDCOptions
	client *http.Client

	mu       sync.Mutex
	provider *oidc.Provider // nil until it was reached
}

// OIDCOptions are what the operator agreed with the provider.
type OIDCOptions struct {
	Issuer       string // https://login.example, as the provider writes it
	ClientID     string
	ClientSecret string // "": a public client
	Address      string // of the dashboard, as browsers know it: https://consent.shop.example

	// With Roles the provider says who has which role, of users that were made here too, and those that it names are made as
	// they come. Without, those get in that were made here.
	RoleClaim string          // name of the claim; a.b is b in a
	Roles     map[string]Role // by the claim's values; the highest counts
}

// providerTime bounds each request to the provider.
const providerTime = 5 * time.Second

// NewOIDC checks options. The provider is asked when somebody logs in, so that Stile starts without it.
func NewOIDC(o OIDCOptions) (*OIDC, error) {
	o.Address = strings.TrimSuffix(o.Address, "/")
	if err := checkAddress(o.Issuer); err != nil {
		return nil, fmt.Errorf("--oidc-issuer: %w", err)
	}
	switch u, err := url.Parse(o.Address); {
	case o.ClientID == "":
		return nil, errors.New("--oidc-issuer needs --oidc-client-id: the provider gives one when Stile is registered there")
	case o.Address == "":
		return nil, errors.New("--oidc-issuer needs --admin-url, to which the provider sends users back: https://consent.shop.example")
	case checkAddress(o.Address) != nil:
		return nil, fmt.Errorf("--admin-url: %w", checkAddress(o.Address))
	case err != nil || u.Path != "":
		return nil, fmt.Errorf("--admin-url: %q has a path: the dashboard is at /admin/ always, leave it out", o.Address)
	case (o.RoleClaim == "") != (len(o.Roles) == 0):
		return nil, errors.New("--oidc-role-claim and --oidc-roles go together: --oidc-role-claim groups --oidc-roles viewer=marketing,officer=privacy")
	}
	return &OIDC{OIDCOptions: o, client: &http.Client{Timeout: providerTime}}, nil
}

// Host is the provider's, for people.
func (o *OIDC) Host() string {
	u, err := url.Parse(o.Issuer)
	if err != nil {
		return o.Issuer
	}
	return u.Hostname()
}

// checkAddress refuses what is no HTTPS address, but on the machine itself.
func checkAddress(address string) error {
	u, err := url.Parse(address)
	if err != nil || u.Host == "" || u.RawQuery != "" || u.Fragment != "" || u.User != nil {
		return fmt.Errorf("%q is no address: write it like https://login.example", address)
	}
	ip := net.ParseIP(u.Hostname())
	local := u.Hostname() == "localhost" || ip != nil && ip.IsLoopback()
	if u.Scheme != "https" && (u.Scheme != "http" || !local) {
		return fmt.Errorf("%q is not safe: what is sent there can be read on its way; use https", address)
	}
	return nil
}

// Away is an error of a provider that cannot be reached, or does not answer as one.
type Away struct {
	Issuer string
	Err    error
}

func (a *Away) Error() string { return fmt.Sprintf("asking %s: %v", a.Issuer, a.Err) }
func (a *Away) Unwrap() error { return a.Err }

// discover is what the provider says of itself, asked once.
func (o *OIDC) discover(ctx context.Context) (*oidc.Provider, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.provider != nil {
		return o.provider, nil
	}
	p, err := oidc.NewProvider(oidc.ClientContext(ctx, o.client), o.Issuer)
	if err != nil {
		return nil, &Away{o.Issuer, err}
	}
	o.provider = p
	return p, nil
}

func (o *OIDC) config(p *oidc.Provider) *oauth2.Config {
	return &oauth2.Config{
		ClientID: o.ClientID, ClientSecret: o.ClientSecret, Endpoint: p.Endpoint(), RedirectURL: o.Address + "/admin/login/callback",
		Scopes: []string{oidc.ScopeOpenID, "profile", "email"},
	}
}

// flow is what a browser keeps while its user is at the provider. It is theirs alone: state and nonce tie what comes back to
// it, and a code is of no use without the verifier.
type flow struct {
	State, Nonce, Verifier, Next string
}

const (
	flowTime   = 10 * time.Minute
	longestURL = 1024 // of Next
)

func flowName(secure bool) string {
	if secure {
		return "__Host-stile-oidc"
	}
	return "stile-oidc"
}

func (a *Accounts) flowCodecs() (list []securecookie.Codec) {
	for _, key := range a.Keys() {
		c := securecookie.New(key.Bytes(), nil)
		c.SetSerializer(securecookie.JSONEncoder{})
		c.MaxAge(int(flowTime.Seconds()))
		list = append(list, c)
	}
	return list
}

// Depart returns the address at the provider where a user logs in, and the cookie by which their browser is known again.
// Next is where they want to go afterwards.
func (a *Accounts) Depart(ctx context.Context, next string, secure bool) (string, *http.Cookie, error) {
	p, err := a.OIDC.discover(ctx)
	if err != nil {
		return "", nil, err
	}
	if len(next) > longestURL {
		next = ""
	}
	f := flow{rand.Text(), rand.Text(), oauth2.GenerateVerifier(), next}
	value, err := securecookie.EncodeMulti(flowName(secure), f, a.flowCodecs()...)
	if err != nil {
		return "", nil, fmt.Errorf("signing a log-in: %w", err)
	}
	to := a.OIDC.config(p).AuthCodeURL(f.State, oidc.Nonce(f.Nonce), oauth2.S256ChallengeOption(f.Verifier))
	return to, newCookie(flowName(secure), value, int(flowTime.Seconds()), secure), nil
}

// Returned is the cookie that takes a log-in at the provider out of the browser: it is good for one return.
func Returned(secure bool) *http.Cookie { return newCookie(flowName(secure), "", -1, secure) }

// ErrStray is returned for a return from the provider that this browser did not depart for, or too long ago.
var ErrStray = errors.New("this log-in was not begun in this browser, or too long ago")

// Stranger is an error of somebody whom the provider knows and Stile does not.
type Stranger struct {
	Issuer, Subject string
	Mapped          bool // roles come from the provider
}

func (s *Stranger) Error() string { return "the provider knows this user, and Stile does not" }

// Return begins a session of the user whom the provider sent back. Errors: ErrStray, *Away, *Stranger, *Refusal.
func (a *Accounts) Return(ctx context.Context, r *http.Request, secure bool) (token []byte, next string, err error) {
	f, err := a.flow(r, secure)
	if err != nil {
		return nil, "", err
	}
	query := r.URL.Query()
	if subtle.ConstantTimeCompare([]byte(query.Get("state")), []byte(f.State)) != 1 {
		return nil, "", ErrStray
	}
	if wrong := query.Get("error"); wrong != "" {
		return nil, "", &Refusal{fmt.Errorf("it says %.60q", wrong)}
	}
	who, err := a.OIDC.identify(ctx, query.Get("code"), f)
	if err != nil {
		return nil, "", err
	}
	u, err := a.recognise(ctx, who)
	var stranger *Stranger
	if errors.As(err, &stranger) {
		a.refused.count("")
	}
	if err != nil {
		return nil, "", err
	}
	token, err = a.begin(ctx, u, "", "by OpenID")
	return token, f.Next, err
}

func (a *Accounts) flow(r *http.Request, secure bool) (f flow, err error) {
	name := flowName(secure)
	c, err := r.Cookie(name)
	if err != nil || securecookie.DecodeMulti(name, c.Value, &f, a.flowCodecs()...) != nil || f.State == "" {
		return flow{}, ErrStray
	}
	return f, nil
}

// Refusal is an error of a provider that was reached and vouches for nobody.
type Refusal struct{ Err error }

func (r *Refusal) Error() string {
	return "the provider does not vouch for this user: " + r.Err.Error()
}
func (r *Refusal) Unwrap() error { return r.Err }

// identity is what the provider says of a user.
type identity struct {
	subject string
	email   string // only where the provider says that it is theirs
	names   []string
	role    Role // Nobody where none is said
}

// identify exchanges a code for what it stands for. No token is kept, or is in an error.
func (o *OIDC) identify(ctx context.Context, code string, f flow) (identity, error) {
	p, err := o.discover(ctx)
	if err != nil {
		return identity{}, err
	}
	ctx = oidc.ClientContext(ctx, o.client)
	tokens, err := o.config(p).Exchange(ctx, code, oauth2.VerifierOption(f.Verifier))
	var answered *oauth2.RetrieveError
	switch {
	case errors.As(err, &answered) && answered.Response.StatusCode < 500:
		return identity{}, &Refusal{fmt.Errorf("it answers the code with %d %.60q", answered.Response.StatusCode, answered.ErrorCode)}
	case errors.As(err, &answered):
		return identity{}, &Away{o.Issuer, fmt.Errorf("it answers the code with %d", answered.Response.StatusCode)}
	case err != nil:
		return identity{}, &Away{o.Issuer, err}
	}
	raw, _ := tokens.Extra("id_token").(string)
	id, err := p.VerifierContext(ctx, &oidc.Config{ClientID: o.ClientID}).Verify(ctx, raw)
	if err != nil {
		return identity{}, &Refusal{err}
	}
	if subtle.ConstantTimeCompare([]byte(id.Nonce), []byte(f.Nonce)) != 1 {
		return identity{}, &Refusal{errors.New("its token is of another log-in")}
	}
	return o.read(id)
}

// subjectForm is that of a sub: OpenID Connect Core 1.0, 2.
var subjectForm = regexp.MustCompile(`^[ -~]{1,255}$`)

// read reads the claims of a token that was verified.
func (o *OIDC) read(id *oidc.IDToken) (identity, error) {
	var said struct {
		Email    string `json:"email"`
		Verified any    `json:"email_verified"` // some providers send a string
		Name     string `json:"preferred_username"`
	}
	var all map[string]any
	if err := errors.Join(id.Claims(&said), id.Claims(&all)); err != nil || !subjectForm.MatchString(id.Subject) {
		return identity{}, &Refusal{errors.New("its token has no claims that can be read")}
	}
	who := identity{subject: id.Subject, names: []string{said.Name}}
	if said.Verified == true || said.Verified == "true" {
		who.email = said.Email
		who.names = append(who.names, said.Email)
	}
	for _, value := range claimed(all, o.RoleClaim) {
		who.role = max(who.role, o.Roles[value])
	}
	return who, nil
}

// claimed are the values of a claim, which is a text or a list of them.
func claimed(claims map[string]any, name string) (values []string) {
	value, found := claims[name]
	for outer, inner, nested := strings.Cut(name, "."); !found && nested; outer, inner, nested = strings.Cut(inner, ".") {
		within, _ := claims[outer].(map[string]any)
		claims, name = within, inner
		value, found = claims[name]
	}
	switch v := value.(type) {
	case string:
		return []string{v}
	case []any:
		for _, one := range v {
			if text, ok := one.(string); ok {
				values = append(values, text)
			}
		}
	case json.Number, nil:
	}
	return values
}
