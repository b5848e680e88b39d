package shop

import (
	"bytes"
	"html/template"
	"net/http"
)

// site holds what the handlers share. It does not change after Handler made it.
type site struct {
	options Options
	pages   map[string]*template.Template
	policy  template.HTML // drawn once
}

// view is what a page is drawn from. Each page uses the fields of its own.
type view struct {
	Options
	Title  string
	Path   string
	Basket basket
	Strip  []counter // nil without a log

	Products []Product
	Product  Product
	Lines    []line
	Total    Cents
	Delivery Cents
	Sum      Cents
	Privacy  template.HTML
	Received receivedView
}

// cardView is a product as the shelf shows it.
type cardView struct {
	Product
	Href string
}

// Card is called by templates: a card knows where it leads.
func (v view) Card(p Product) cardView { return cardView{p, v.Basket.Link("/product/" + p.Slug)} }

func parsePages() map[string]*template.Template {
	pages := make(map[string]*template.Template)
	for _, name := range []string{"home", "product", "basket", "app", "privacy", "received", "missing"} {
		pages[name] = template.Must(template.ParseFS(web, "web/layout.html", "web/card.html", "web/"+name+".html"))
	}
	return pages
}

func (s *site) view(r *http.Request, title string) view {
	v := view{
		Options:  s.options,
		Title:    title,
		Path:     r.URL.Path,
		Basket:   basketOf(r.URL.Query()),
		Products: products,
	}
	if s.options.Parties != nil {
		v.Strip = strip(s.options.Parties)
	}
	return v
}

// render draws a page whole before it sends a byte of it. Pages are no-cache and not no-store: a page that may not be
// stored never comes out of the back/forward cache, and there is nothing in it that may not be stored.
func (s *site) render(w http.ResponseWriter, status int, page string, v view) {
	var out bytes.Buffer
	if err := s.pages[page].ExecuteTemplate(&out, "layout", v); err != nil {
		http.Error(w, "The page could not be drawn.", http.StatusInternalServerError)
		return
	}
	h := w.Header()
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Set("Cache-Control", "no-cache")
	h.Set("X-Content-Type-Options", "nosniff")
	if s.options.CSP != "" {
		h.Set("Content-Security-Policy", s.options.CSP)
	}
	w.WriteHeader(status)
	_, _ = out.WriteTo(w) // a visitor who went away is no error
}

func (s *site) home(w http.ResponseWriter, r *http.Request) {
	s.render(w, http.StatusOK, "home", s.view(r, "Paper, ink and tea"))
}

func (s *site) product(w http.ResponseWriter, r *http.Request) {
	p, ok := find(r.PathValue("slug"))
	if !ok {
		s.notFound(w, r)
		return
	}
	v := s.view(r, p.Name)
	v.Product = p
	s.render(w, http.StatusOK, "product", v)
}

func (s *site) app(w http.ResponseWriter, r *http.Request) {
	s.render(w, http.StatusOK, "app", s.view(r, "Gift finder"))
}

func (s *site) privacy(w http.ResponseWriter, r *http.Request) {
	v := s.view(r, "Privacy and cookie policy")
	v.Privacy = s.policy
	s.render(w, http.StatusOK, "privacy", v)
}

func (s *site) notFound(w http.ResponseWriter, r *http.Request) {
	s.render(w, http.StatusNotFound, "missing", s.view(r, "Not on the shelf"))
}
