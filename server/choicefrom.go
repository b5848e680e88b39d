package server

import (
	"context"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/stilehq/stile/server/consent"
	"github.com/stilehq/stile/server/cookie"
)

// pageVisitor is who asks for a page. It is decided when somebody asks what they allow.
type pageVisitor struct {
	site    *gatedSite
	request *http.Request
	now     time.Time

	once     sync.Once
	decision consent.Decision
	asked    atomic.Bool // by the site's code: the answer is this visitor's
}

type visitorKey struct{}

func (v *pageVisitor) with(r *http.Request) *http.Request {
	return r.WithContext(context.WithValue(r.Context(), visitorKey{}, v))
}

func (v *pageVisitor) decide() *consent.Decision {
	v.once.Do(func() {
		r, site := v.request, v.site
		visit := consent.Visit{Region: site.region(r), GPC: hasGPC(r), Crawler: crawler(r.UserAgent()), Now: v.now}
		visit.Choice = site.strict(believed(site.codec, site.Name, append(cookieValues(r, cookie.Name(site.Name)), r.Header.Get("X-Stile-Choice"))))
		visit.Crawler = visit.Crawler && visit.Choice == nil
		v.decision = consent.Decide(site.Site, visit)
	})
	return &v.decision
}

// strict is a choice without its grants where it was made by a vendor list that is not known here: who was named on it, and
// who was answerable, is known to the server alone, which asks such a visitor again where it must. What was declined stays so.
func (g *gatedSite) strict(c *consent.Choice) *consent.Choice {
	if c == nil || c.List == g.List() || g.Lists[c.List] != nil {
		return c
	}
	less := *c
	less.Granted, less.Services = nil, nil
	return &less
}

// Choice is what a visitor allows. The zero value allows nothing.
type Choice struct{ visitor *pageVisitor }

// ChoiceFrom is the choice of the visitor who sent a request that came through a Middleware: from the signed cookie, the
// region and the visitor's signals, decided as Stile decides about the site's tags. Of any other request it is a choice
// that allows nothing.
//
// The answer to a request whose choice was asked about is that visitor's: it goes out with Cache-Control: private, no-cache
// and the Vary that says so (D6). So ask before the first byte of it is written.
func ChoiceFrom(r *http.Request) Choice {
	v, _ := r.Context().Value(visitorKey{}).(*pageVisitor)
	return Choice{v}
}

// Allows tells whether a category (by its name) or a tag (by its id) is allowed. What the site does not have is not.
func (c Choice) Allows(name string) bool {
	if c.visitor == nil {
		return false
	}
	c.visitor.asked.Store(true)
	return c.visitor.decide().Allows(c.visitor.site.Site, name)
}
