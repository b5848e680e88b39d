package consent

import "slices"

// Delivery is how events reach a tag's vendor from this server. It holds no secret: only where the secret is.
type Delivery struct {
	SecretEnv  string   // environment variable, or
	SecretFile string   // path
	Endpoint   string   // URL of the vendor's server, without a query
	Told       bool     // the vendor is told of a denial; else nothing is sent
	Only       bool     // the browser loads nothing for the tag
	TestCode   string   // marks events as a test at the vendor, or ""
	Forward    []string // what else of the visitor goes along: ip, user_agent, query (of the page's address)
	Mode       string   // consent mode whose signals go with the events, or ""
}

// Signal tells whether a signal of a consent mode is granted: the category that it follows is released, or a tag that has it
// granted by itself is.
func (d *Decision) Signal(s *Site, mode, name string) bool {
	for _, m := range s.Modes {
		if m.ID == mode && slices.ContainsFunc(m.Signals, func(sig ModeSignal) bool { return sig.Name == name && d.Allows(s, sig.Category) }) {
			return true
		}
	}
	for i := range s.Tags {
		if t := &s.Tags[i]; t.Mode == mode && d.Tags[i].Released && slices.Contains(t.Grants, name) {
			return true
		}
	}
	return false
}
