package vendors

import "net/url"

// Server is how a vendor's servers take events from other servers.
type Server struct {
	Endpoint string // URL on https, without a query: what comes behind it is made in package event
	Denied   bool   // its protocol can say that consent is denied
	TestCode bool   `yaml:"test_code"` // it has a code that marks events as a test
}

func (f *file) checkServer(s *Server) error {
	if s == nil {
		return nil
	}
	if u, err := url.Parse(s.Endpoint); err != nil || u.Scheme != "https" || u.Host == "" || u.RawQuery != "" {
		return f.errorf("$.server.endpoint", "endpoint is %q: it is a URL on https, without a query", s.Endpoint)
	}
	return nil
}
