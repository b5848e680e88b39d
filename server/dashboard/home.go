package dashboard

import "net/http"

// home answers GET /admin/: the sites.
func (d *Dashboard) home(w http.ResponseWriter, a *ask) error {
	var names []string
	for _, s := range d.Sites() {
		names = append(names, s.Name)
	}
	return d.page(w, a, frame{Title: "Sites"}, home(names))
}
