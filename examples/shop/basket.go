package shop

import (
	"net/http"
	"net/url"
	"strconv"
)

// most is how many of one product fit into a basket.
const most = 9

// basket is how many of each product, by slug, the visitor has put aside. It travels in the address of every page
// (?kettle=1&ink=2): that needs no cookie, no storage and no script, and works before and after any choice.
type basket map[string]int

// basketOf reads the basket from an address. What is not a product, or not a sensible number, is not in it.
func basketOf(query url.Values) basket {
	b := basket{}
	for _, p := range products {
		if n, err := strconv.Atoi(query.Get(p.Slug)); err == nil && n > 0 {
			b[p.Slug] = min(n, most)
		}
	}
	return b
}

// Link returns the address of a page with the basket in it.
func (b basket) Link(path string) string {
	if len(b) == 0 {
		return path
	}
	query := url.Values{}
	for slug, n := range b {
		query.Set(slug, strconv.Itoa(n))
	}
	return path + "?" + query.Encode()
}

// Count is the number of things in the basket.
func (b basket) Count() int {
	n := 0
	for _, k := range b {
		n += k
	}
	return n
}

// line is one row of the basket page.
type line struct {
	Product
	N   int
	Sum Cents
}

// lines returns the rows in the order of the shelf, and their total.
func (b basket) lines() (lines []line, total Cents) {
	for _, p := range products {
		if n := b[p.Slug]; n > 0 {
			sum := p.Price * Cents(n)
			lines = append(lines, line{Product: p, N: n, Sum: sum})
			total += sum
		}
	}
	return lines, total
}

// free is the order value from which delivery costs nothing.
const (
	free     Cents = 5000
	delivery Cents = 490
)

func (s *site) basket(w http.ResponseWriter, r *http.Request) {
	b := basketOf(r.URL.Query())
	// Adding is an address of its own, which leads to the one that has it: reloading does not add again.
	if p, ok := find(r.URL.Query().Get("add")); ok {
		b[p.Slug] = min(b[p.Slug]+1, most)
		http.Redirect(w, r, b.Link("/basket"), http.StatusSeeOther)
		return
	}
	v := s.view(r, "Basket")
	v.Lines, v.Total = b.lines()
	if v.Total < free {
		v.Delivery = delivery
	}
	v.Sum = v.Total + v.Delivery
	s.render(w, http.StatusOK, "basket", v)
}
