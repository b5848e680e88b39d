package consent

import "strings"

// Embeddable tells whether a page of this origin ("https://www.shop.example") may embed the site.
func (s *Site) Embeddable(origin string) bool {
	for _, pattern := range s.Origins {
		scheme, host, wild := strings.Cut(pattern, "://*.")
		if !wild && origin == pattern ||
			wild && strings.HasPrefix(origin, scheme+"://") && strings.HasSuffix(origin, "."+host) {
			return true
		}
	}
	return false
}
