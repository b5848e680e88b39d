package account

import (
	"fmt"
	"net/http"
	"slices"
	"strings"

	"github.com/gorilla/securecookie"
)

// The session's cookie. Over HTTPS its name begins with __Host-, so that no other host of the domain (the shop's pages, and
// all that runs in them) can put one there; such a cookie has no narrower path than /, and what is not under /admin/ does not
// look at it. Sites' cookies are stile_SITE, and none of them is stile-admin.
const (
	plainCookie  = "stile-admin"
	secureCookie = "__Host-stile-admin"
)

func cookieName(secure bool) string {
	if secure {
		return secureCookie
	}
	return plainCookie
}

// Strip takes the dashboard's cookies from a request that goes on to somebody else: browsers send them to every port of a host.
func Strip(h http.Header) {
	own := []string{plainCookie, secureCookie, flowName(false), flowName(true)}
	var kept []string
	for part := range strings.SplitSeq(strings.Join(h["Cookie"], "; "), ";") {
		name, _, _ := strings.Cut(part, "=")
		if !slices.Contains(own, strings.TrimSpace(name)) {
			kept = append(kept, strings.TrimSpace(part))
		}
	}
	if h.Del("Cookie"); len(kept) > 0 {
		h.Set("Cookie", strings.Join(kept, "; "))
	}
}

// newCookie has the attributes of all cookies of the dashboard. They are Lax, not Strict: a browser would leave a Strict one
// out of the first request after a log-in at a provider's, and of every link in a mail. No GET changes anything, and other
// methods are refused from elsewhere by their origin.
func newCookie(name, value string, maxAge int, secure bool) *http.Cookie {
	c := &http.Cookie{Name: name, Value: value, MaxAge: maxAge, HttpOnly: true, Secure: secure, SameSite: http.SameSiteLaxMode, Path: "/admin/"}
	if secure {
		c.Path = "/"
	}
	return c
}

// codecs sign with the newest key and believe all of them, so that a new one logs nobody out.
func (a *Accounts) codecs() (list []securecookie.Codec) {
	for _, key := range a.Keys() {
		c := securecookie.New(key.Bytes(), nil)
		c.SetSerializer(securecookie.NopEncoder{})
		c.MaxAge(int(wholeTime.Seconds()))
		list = append(list, c)
	}
	return list
}

// Cookie is the cookie of a session.
func (a *Accounts) Cookie(token []byte, secure bool) (*http.Cookie, error) {
	name := cookieName(secure)
	value, err := securecookie.EncodeMulti(name, token, a.codecs()...)
	if err != nil {
		return nil, fmt.Errorf("signing a session: %w", err)
	}
	return newCookie(name, value, int(wholeTime.Seconds()), secure), nil
}

// Forgotten is the cookie that takes a session's out of the browser.
func Forgotten(secure bool) *http.Cookie { return newCookie(cookieName(secure), "", -1, secure) }

// Token is what a request shows for its session, or nil.
func (a *Accounts) Token(r *http.Request, secure bool) []byte {
	name := cookieName(secure)
	for _, c := range r.CookiesNamed(name) {
		var token []byte
		if err := securecookie.DecodeMulti(name, c.Value, &token, a.codecs()...); err == nil && len(token) == tokenLength {
			return token
		}
	}
	return nil
}
