package account

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"math/big"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// provider is a stand-in for an OpenID provider: discovery, keys, and a token endpoint that checks client, code and PKCE as
// one does. Tests log in at it by authorize, and spoil the tokens that it gives.
type provider struct {
	*httptest.Server
	key    *rsa.PrivateKey // published
	signer *rsa.PrivateKey // of tokens

	mu     sync.Mutex
	codes  map[string]grant // that were not redeemed
	spoil  func(head, claims map[string]any)
	asked  int // requests
	broken bool
}

type grant struct {
	nonce, challenge string
	claims           map[string]any
}

func newProvider(t *testing.T) *provider {
	t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	p := &provider{key: key, signer: key, codes: map[string]grant{}}
	p.Server = httptest.NewServer(http.HandlerFunc(p.answer))
	t.Cleanup(p.Close)
	return p
}

func (p *provider) answer(w http.ResponseWriter, r *http.Request) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.asked++
	w.Header().Set("Content-Type", "application/json")
	b64 := base64.RawURLEncoding.EncodeToString
	var body any
	switch r.URL.Path {
	case "/.well-known/openid-configuration":
		if p.broken {
			http.Error(w, "not today", http.StatusServiceUnavailable)
			return
		}
		body = map[string]any{
			"issuer": p.URL, "authorization_endpoint": p.URL + "/authorize", "token_endpoint": p.URL + "/token", "jwks_uri": p.URL + "/keys",
			"id_token_signing_alg_values_supported": []string{"RS256", "none"},
		}
	case "/keys":
		body = map[string]any{"keys": []any{map[string]any{
			"kty": "RSA", "kid": "one", "use": "sig", "alg": "RS256", "n": b64(p.key.N.Bytes()), "e": b64(big.NewInt(int64(p.key.E)).Bytes()),
		}}}
	case "/token":
		g, found := p.codes[r.PostFormValue("code")]
		id, secret, _ := r.BasicAuth()
		secret, _ = url.QueryUnescape(secret) // RFC 6749, 2.3.1
		sum := sha256.Sum256([]byte(r.PostFormValue("code_verifier")))
		if !found || id != "stile" || secret != "the client's secret" || b64(sum[:]) != g.challenge {
			w.WriteHeader(http.StatusBadRequest)
			body = map[string]any{"error": "invalid_grant"}
			break
		}
		delete(p.codes, r.PostFormValue("code"))
		body = map[string]any{"access_token": "an access token", "token_type": "Bearer", "id_token": p.token(g)}
	default:
		http.NotFound(w, r)
		return
	}
	_ = json.NewEncoder(w).Encode(body)
}

func (p *provider) token(g grant) string {
	head := map[string]any{"alg": "RS256", "kid": "one", "typ": "JWT"}
	claims := map[string]any{"iss": p.URL, "aud": "stile", "exp": time.Now().Add(time.Minute).Unix(), "iat": time.Now().Unix(), "nonce": g.nonce}
	for name, value := range g.claims {
		claims[name] = value
	}
	if p.spoil != nil {
		p.spoil(head, claims)
	}
	b64 := base64.RawURLEncoding.EncodeToString
	part := func(of any) string {
		text, err := json.Marshal(of)
		if err != nil {
			panic(err)
		}
		return b64(text)
	}
	signed := part(head) + "." + part(claims)
	if head["alg"] == "none" {
		return signed + "."
	}
	sum := sha256.Sum256([]byte(signed))
	signature, err := rsa.SignPKCS1v15(rand.Reader, p.signer, 5, sum[:]) // 5 is SHA-256
	if err != nil {
		panic(err)
	}
	return signed + "." + b64(signature)
}

// authorize is a user's log-in there: it answers what Depart asked for with a code.
func (p *provider) authorize(t *testing.T, to string, claims map[string]any) url.Values {
	t.Helper()
	u, err := url.Parse(to)
	if err != nil {
		t.Fatal(err)
	}
	q := u.Query()
	if q.Get("response_type") != "code" || q.Get("client_id") != "stile" || q.Get("redirect_uri") != "https://consent.shop.example/admin/login/callback" ||
		q.Get("code_challenge_method") != "S256" || len(q.Get("state")) < 20 || len(q.Get("nonce")) < 20 || !strings.Contains(q.Get("scope"), "openid") {
		t.Fatalf("the provider is asked %v", q)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	code := rand.Text()
	p.codes[code] = grant{q.Get("nonce"), q.Get("code_challenge"), claims}
	return url.Values{"code": {code}, "state": {q.Get("state")}}
}

func (p *provider) options() OIDCOptions {
	return OIDCOptions{Issuer: p.URL, ClientID: "stile", ClientSecret: "the client's secret", Address: "https://consent.shop.example/"}
}

// abroad is a house whose users log in at a provider too.
func abroad(t *testing.T, p *provider, change func(*OIDCOptions)) *house {
	t.Helper()
	h := file(t)
	h.now = time.Now()
	o := p.options()
	if change != nil {
		change(&o)
	}
	var err error
	if h.OIDC, err = NewOIDC(o); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(h.OIDC.client.CloseIdleConnections)
	return h
}

func (h *house) depart() (string, *http.Cookie) {
	h.t.Helper()
	to, c, err := h.Depart(h.t.Context(), "/admin/sites/shop/", true)
	if err != nil {
		h.t.Fatal(err)
	}
	return to, c
}

func back(c *http.Cookie, q url.Values) *http.Request {
	r := request(c)
	r.URL.RawQuery = q.Encode()
	return r
}

// through is a whole log-in of somebody of whom the provider says this.
func (h *house) through(p *provider, claims map[string]any) (User, error) {
	h.t.Helper()
	to, c := h.depart()
	token, next, err := h.Return(h.t.Context(), back(c, p.authorize(h.t, to, claims)), true)
	if err != nil {
		return User{}, err
	}
	if next != "/admin/sites/shop/" {
		h.t.Errorf("the user is sent to %q", next)
	}
	u, _, err := h.Find(h.t.Context(), token)
	return u, err
}

func (h *house) sessions() (n int) {
	h.t.Helper()
	users, err := h.Users(h.t.Context())
	if err != nil {
		h.t.Fatal(err)
	}
	for _, u := range users {
		n += u.Sessions
	}
	return n
}

func TestOIDC(t *testing.T) {
	p := newProvider(t)
	h := abroad(t, p, nil)
	if err := h.Add(t.Context(), by, User{Name: "ada", Role: Officer, Issuer: p.URL, Subject: "42"}, ""); err != nil {
		t.Fatal(err)
	}
	if u, err := h.through(p, map[string]any{"sub": "42"}); err != nil || u.Name != "ada" || u.Role != Officer {
		t.Fatalf("%+v, %v", u, err)
	}
	if got := h.trail(); got[len(got)-1] != "operator:ada login 1 by OpenID" {
		t.Errorf("the trail ends with %q", got[len(got)-1])
	}
	if _, err := h.Login(t.Context(), "ada", "", home); !errors.Is(err, ErrRefused) {
		t.Errorf("no password: %v", err)
	}
	var stranger *Stranger
	if _, err := h.through(p, map[string]any{"sub": "43", "preferred_username": "ada", "groups": []string{"admin"}}); !errors.As(err, &stranger) || stranger.Subject != "43" {
		t.Errorf("a stranger: %v", err)
	}
	if users, err := h.Users(t.Context()); err != nil || len(users) != 1 {
		t.Errorf("%+v, %v", users, err)
	}
}

// Whatever is wrong with what comes back, nobody is logged in.
func TestOIDCRefuses(t *testing.T) {
	p := newProvider(t)
	h := abroad(t, p, nil)
	if err := h.Add(t.Context(), by, User{Name: "ada", Role: Officer, Issuer: p.URL, Subject: "42"}, ""); err != nil {
		t.Fatal(err)
	}
	other := newProvider(t)
	for name, spoil := range map[string]func(head, claims map[string]any){
		"another nonce":         func(_, claims map[string]any) { claims["nonce"] = rand.Text() },
		"no nonce":              func(_, claims map[string]any) { delete(claims, "nonce") },
		"expired":               func(_, claims map[string]any) { claims["exp"] = time.Now().Add(-time.Hour).Unix() },
		"alg none":              func(head, _ map[string]any) { head["alg"] = "none" },
		"alg HS256":             func(head, _ map[string]any) { head["alg"] = "HS256" },
		"of another client":     func(_, claims map[string]any) { claims["aud"] = "shop" },
		"of another provider":   func(_, claims map[string]any) { claims["iss"] = other.URL },
		"of nobody":             func(_, claims map[string]any) { delete(claims, "sub") },
		"of a subject too long": func(_, claims map[string]any) { claims["sub"] = strings.Repeat("4", 256) },
	} {
		p.spoil = spoil
		var refusal *Refusal
		if u, err := h.through(p, map[string]any{"sub": "42"}); !errors.As(err, &refusal) {
			t.Errorf("%s: %+v, %v", name, u, err)
		} else if strings.Contains(err.Error(), "answers the code") {
			t.Errorf("%s: it was never looked at: %v", name, err)
		} else if strings.Contains(err.Error(), "eyJ") || strings.Contains(err.Error(), "access token") {
			t.Errorf("%s: a token is in the error: %v", name, err)
		}
	}
	p.spoil = nil
	p.signer = other.key
	var refusal *Refusal
	if u, err := h.through(p, map[string]any{"sub": "42"}); !errors.As(err, &refusal) || !strings.Contains(err.Error(), "signature") {
		t.Errorf("signed by another: %+v, %v", u, err)
	}
	p.signer = p.key

	to, c := h.depart()
	q := p.authorize(t, to, map[string]any{"sub": "42"})
	for name, r := range map[string]*http.Request{
		"no state":             back(c, url.Values{"code": q["code"]}),
		"another state":        back(c, url.Values{"code": q["code"], "state": {rand.Text()}}),
		"no cookie":            back(nil, q),
		"a cookie made up":     back(&http.Cookie{Name: c.Name, Value: "x"}, q),
		"a session for cookie": back(&http.Cookie{Name: c.Name, Value: mustCookie(t, h).Value}, q),
	} {
		if _, _, err := h.Return(t.Context(), r, true); !errors.Is(err, ErrStray) {
			t.Errorf("%s: %v", name, err)
		}
	}
	_, foreign := h.depart() // a browser that departed by itself, with the code of another
	flow, err := h.flow(back(foreign, nil), true)
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := h.Return(t.Context(), back(foreign, url.Values{"code": q["code"], "state": {flow.State}}), true); !errors.As(err, &refusal) {
		t.Errorf("a code of another browser's: %v", err)
	}
	if _, _, err := h.Return(t.Context(), back(c, url.Values{"error": {"access_denied"}, "state": q["state"]}), true); !errors.As(err, &refusal) || !strings.Contains(err.Error(), "access_denied") {
		t.Errorf("the provider refused: %v", err)
	}
	if n := h.sessions(); n != 0 {
		t.Errorf("%d sessions were begun", n)
	}
	if _, _, err := h.Return(t.Context(), back(c, q), true); err != nil {
		t.Errorf("what was right all the time: %v", err)
	}
	if _, _, err := h.Return(t.Context(), back(c, q), true); !errors.As(err, &refusal) || h.sessions() != 1 {
		t.Errorf("a code that was used: %v", err)
	}
}

func mustCookie(t *testing.T, h *house) *http.Cookie {
	t.Helper()
	c, err := h.Cookie(make([]byte, tokenLength), true)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// A user who was written down by address is known by the subject from the first log-in on, and only by an address that the
// provider says is theirs.
func TestOIDCByEmail(t *testing.T) {
	p := newProvider(t)
	h := abroad(t, p, nil)
	if err := h.Add(t.Context(), by, User{Name: "ada", Role: Viewer, Issuer: p.URL, Subject: EmailSubject("Ada@shop.example")}, ""); err != nil {
		t.Fatal(err)
	}
	var stranger *Stranger
	for _, verified := range []any{nil, false, "false", 1} {
		if u, err := h.through(p, map[string]any{"sub": "66", "email": "ada@shop.example", "email_verified": verified}); !errors.As(err, &stranger) {
			t.Errorf("verified is %v: %+v, %v", verified, u, err)
		}
	}
	for _, subject := range []string{"ada@shop.example", EmailSubject("ada@shop.example")} {
		if u, err := h.through(p, map[string]any{"sub": subject}); err == nil {
			t.Errorf("subject %q: %+v", subject, u)
		}
	}
	if u, err := h.through(p, map[string]any{"sub": "42", "email": "ada@shop.example", "email_verified": true}); err != nil || u.Subject != "42" {
		t.Errorf("%+v, %v", u, err)
	}
	if _, err := h.through(p, map[string]any{"sub": "43", "email": "ada@shop.example", "email_verified": true}); !errors.As(err, &stranger) {
		t.Errorf("the next one of that address: %v", err)
	}
	if u, err := h.through(p, map[string]any{"sub": "42"}); err != nil || u.Name != "ada" {
		t.Errorf("the same one without an address: %+v, %v", u, err)
	}
}

// The provider says who has which role: users are made as they come, and lose what they have when it says so.
func TestOIDCRoles(t *testing.T) {
	p := newProvider(t)
	h := abroad(t, p, func(o *OIDCOptions) {
		o.RoleClaim, o.Roles = "realm_access.roles", map[string]Role{"marketing": Viewer, "privacy": Officer}
	})
	h.add("ada", Viewer) // by password; the name is taken
	said := func(roles ...string) map[string]any {
		return map[string]any{"sub": "42", "preferred_username": "Ada", "email": "ada@shop.example", "email_verified": true, "realm_access": map[string]any{"roles": roles}}
	}
	u, err := h.through(p, said("staff", "privacy", "marketing"))
	if err != nil || u.Name != "ada@shop.example" || u.Role != Officer {
		t.Fatalf("%+v, %v", u, err)
	}
	if u, err = h.through(p, said("marketing")); err != nil || u.Role != Viewer || h.sessions() != 1 {
		t.Errorf("a role less: %+v, %v, %d sessions", u, err, h.sessions())
	}
	var stranger *Stranger
	if u, err = h.through(p, said("staff")); !errors.As(err, &stranger) || !stranger.Mapped || h.sessions() != 0 {
		t.Errorf("no role: %+v, %v, %d sessions", u, err, h.sessions())
	}
	if u, err = h.through(p, map[string]any{"sub": "7", "preferred_username": "two words", "realm_access": map[string]any{"roles": "privacy"}}); err != nil || !strings.HasPrefix(u.Name, "user-") || u.Role != Officer {
		t.Errorf("without a name that can be used: %+v, %v", u, err)
	}
	if u, err = h.through(p, map[string]any{"sub": "8", "realm_access": "privacy", "roles": []string{"privacy"}}); !errors.As(err, &stranger) {
		t.Errorf("a claim of another form: %+v, %v", u, err)
	}
}

// Nobody becomes somebody else on the audit trail by taking their name at the provider.
func TestOIDCNamesStayWhoseTheyWere(t *testing.T) {
	p := newProvider(t)
	h := abroad(t, p, func(o *OIDCOptions) { o.RoleClaim, o.Roles = "groups", map[string]Role{"marketing": Viewer} })
	h.add("ada", Officer)
	h.add("grace", Officer)
	if err := h.SetRole(t.Context(), "operator:grace", "ada", Viewer); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"ada", "grace"} { // of whom one did nothing, and one did
		if err := h.Remove(t.Context(), by, name); err != nil {
			t.Fatal(err)
		}
		who := map[string]any{"sub": "of " + name, "preferred_username": name, "groups": "marketing"}
		for range 2 { // they have a name of their own, and get it again once it is removed
			u, err := h.through(p, who)
			if err != nil || !strings.HasPrefix(u.Name, "user-") {
				t.Fatalf("whoever calls themself %s is %+v, %v", name, u, err)
			}
			if err := h.Remove(t.Context(), by, u.Name); err != nil {
				t.Fatal(err)
			}
		}
	}
	if u, err := h.through(p, map[string]any{"sub": "9", "preferred_username": "eva", "groups": "marketing"}); err != nil || u.Name != "eva" {
		t.Errorf("a name that nobody had: %+v, %v", u, err)
	}
}

// Stile starts without the provider, and goes on to ask for it.
func TestOIDCIsAskedLate(t *testing.T) {
	p := newProvider(t)
	p.broken = true
	h := abroad(t, p, nil)
	if p.asked != 0 {
		t.Errorf("it was asked %d times before anybody logs in", p.asked)
	}
	var away *Away
	if _, _, err := h.Depart(t.Context(), "", true); !errors.As(err, &away) {
		t.Errorf("away: %v", err)
	}
	p.broken = false
	h.depart()
	h.depart()
	if p.asked != 2 {
		t.Errorf("it was asked %d times, once in vain", p.asked)
	}
}

func TestOIDCOptions(t *testing.T) {
	good := OIDCOptions{Issuer: "https://login.example", ClientID: "stile", Address: "https://consent.shop.example"}
	if _, err := NewOIDC(good); err != nil {
		t.Fatal(err)
	}
	for want, spoil := range map[string]func(*OIDCOptions){
		`"http://login.example" is not safe`:      func(o *OIDCOptions) { o.Issuer = "http://login.example" },
		`"login.example" is no address`:           func(o *OIDCOptions) { o.Issuer = "login.example" },
		"--oidc-client-id":                        func(o *OIDCOptions) { o.ClientID = "" },
		"needs --admin-url":                       func(o *OIDCOptions) { o.Address = "" },
		`"https://shop.example/admin" has a path`: func(o *OIDCOptions) { o.Address = "https://shop.example/admin/" },
		"--admin-url: \"http://shop.example\"":    func(o *OIDCOptions) { o.Address = "http://shop.example" },
		"go together":                             func(o *OIDCOptions) { o.RoleClaim = "groups" },
		"--oidc-role-claim and --oidc-roles":      func(o *OIDCOptions) { o.Roles = map[string]Role{"a": Viewer} },
	} {
		o := good
		spoil(&o)
		if _, err := NewOIDC(o); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("want %s: %v", want, err)
		}
	}
}

func TestClaimed(t *testing.T) {
	claims := map[string]any{"groups": []any{"a", 1, "b"}, "role": "c", "x": map[string]any{"y": map[string]any{"z": []any{"d"}}}, "https://a.example/roles": "e"}
	for name, want := range map[string][]string{
		"groups": {"a", "b"}, "role": {"c"}, "x.y.z": {"d"}, "x.y": nil, "x.nothing": nil, "nothing": nil, "": nil, "https://a.example/roles": {"e"}, "role.x": nil,
	} {
		if got := claimed(claims, name); !slices.Equal(got, want) {
			t.Errorf("%s: %q, want %q", name, got, want)
		}
	}
}
