// Package reach connects to addresses that somebody wrote into a configuration: vendors' hosts, a webhook. Whoever writes a
// URL there must not reach into the network that the server stands in, so only public addresses are connected to, by TLS,
// and those that were allowed by name. It is decided when a connection is made, by the address: what a name stood for
// earlier says nothing.
package reach

import (
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"syscall"
	"time"
)

// ErrRefused is what an attempt to reach a place that is not public ends with.
var ErrRefused = errors.New("the address is not public")

// Transport reaches the public internet by TLS, and what else is allowed also without. It takes no proxy from the
// environment: a proxy would reach what is refused here. It follows no redirect.
type Transport struct{ secure, plain *http.Transport }

const (
	mostPerHost = 2  // connections that are kept for later
	mostIdle    = 64 // of all hosts
)

// NewTransport makes a transport. The networks of allow need not be public; timeout is that of a connection, and of its
// handshake.
func NewTransport(allow []netip.Prefix, timeout time.Duration) *Transport {
	return &Transport{secure: dialing(guard{allow: allow, public: true}, timeout), plain: dialing(guard{allow: allow}, timeout)}
}

// NewPageTransport makes one that reaches the public internet without TLS too: to read pages, which anybody may read there.
func NewPageTransport(allow []netip.Prefix, timeout time.Duration) *Transport {
	return &Transport{secure: dialing(guard{allow: allow, public: true}, timeout), plain: dialing(guard{allow: allow, public: true}, timeout)}
}

func dialing(g guard, timeout time.Duration) *http.Transport {
	d := &net.Dialer{Timeout: timeout, Control: g.control}
	return &http.Transport{
		DialContext: d.DialContext, ForceAttemptHTTP2: true, TLSClientConfig: &tls.Config{MinVersion: tls.VersionTLS12}, TLSHandshakeTimeout: timeout,
		DisableCompression: true, MaxIdleConnsPerHost: mostPerHost, MaxIdleConns: mostIdle, IdleConnTimeout: time.Minute, MaxResponseHeaderBytes: 64 << 10,
	}
}

// RoundTrip implements http.RoundTripper.
func (t *Transport) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.URL.Scheme == "https" {
		return t.secure.RoundTrip(r)
	}
	return t.plain.RoundTrip(r)
}

// CloseIdle closes connections that are not in use.
func (t *Transport) CloseIdle() {
	t.secure.CloseIdleConnections()
	t.plain.CloseIdleConnections()
}

// guard decides on addresses when they are connected to.
type guard struct {
	allow  []netip.Prefix
	public bool
}

func (g guard) control(network, address string, _ syscall.RawConn) error {
	addr, err := netip.ParseAddrPort(address)
	if err != nil || network != "tcp4" && network != "tcp6" {
		return fmt.Errorf("%w: %s %s", ErrRefused, network, address)
	}
	return g.check(addr.Addr())
}

func (g guard) check(addr netip.Addr) error {
	for _, network := range g.allow {
		if network.Contains(addr.Unmap()) {
			return nil
		}
	}
	if !Public(addr) {
		return fmt.Errorf("%w: %s; name its network in --forward-networks if it is meant", ErrRefused, addr)
	}
	if !g.public {
		return fmt.Errorf("%w by http: %s; use https", ErrRefused, addr)
	}
	return nil
}

// CheckHost refuses the URL whose host a transport refuses whatever is asked: an address that is not public, or localhost.
// What any other name stands for shows when it is connected to.
func CheckHost(u *url.URL, allow []netip.Prefix) error {
	g := guard{allow: allow, public: u.Scheme == "https"}
	host := strings.ToLower(strings.TrimSuffix(u.Hostname(), "."))
	if host == "localhost" || strings.HasSuffix(host, ".localhost") {
		if g.check(netip.IPv6Loopback()) == nil {
			return nil
		}
		host = "127.0.0.1"
	}
	if addr, err := netip.ParseAddr(host); err == nil {
		return g.check(addr)
	}
	return nil
}

// notPublic are the networks inside of what is routed that are somebody's own, a machine's inside, a test's, or a way to
// write an IPv4 address that would have to be judged in turn (IANA's special-purpose registries, RFC 6890 and later).
var notPublic = []netip.Prefix{
	netip.MustParsePrefix("0.0.0.0/8"),        // this host
	netip.MustParsePrefix("10.0.0.0/8"),       // private
	netip.MustParsePrefix("100.64.0.0/10"),    // carrier-grade NAT; metadata of Alibaba's cloud
	netip.MustParsePrefix("127.0.0.0/8"),      // loopback
	netip.MustParsePrefix("168.63.129.16/32"), // metadata of Microsoft's cloud, in the midst of public addresses
	netip.MustParsePrefix("169.254.0.0/16"),   // link-local; metadata of most clouds
	netip.MustParsePrefix("172.16.0.0/12"),    // private
	netip.MustParsePrefix("192.0.0.0/24"),     // protocol assignments; metadata of Oracle's cloud
	netip.MustParsePrefix("192.0.2.0/24"),     // documentation
	netip.MustParsePrefix("192.88.99.0/24"),   // 6to4 relays
	netip.MustParsePrefix("192.168.0.0/16"),   // private
	netip.MustParsePrefix("198.18.0.0/15"),    // benchmarks
	netip.MustParsePrefix("198.51.100.0/24"),  // documentation
	netip.MustParsePrefix("203.0.113.0/24"),   // documentation
	netip.MustParsePrefix("224.0.0.0/4"),      // multicast
	netip.MustParsePrefix("240.0.0.0/4"),      // reserved, broadcast
	netip.MustParsePrefix("2001::/23"),        // protocol assignments: Teredo, ORCHID, benchmarks
	netip.MustParsePrefix("2001:db8::/32"),    // documentation
	netip.MustParsePrefix("2002::/16"),        // 6to4
	netip.MustParsePrefix("3fff::/20"),        // documentation
}

// unicast is where IANA gives out public IPv6 addresses. Outside of it are loopback, link-local, unique local, multicast,
// NAT64 and what is written like IPv4.
var unicast = netip.MustParsePrefix("2000::/3")

// Public tells whether an address is one that anybody on the internet may be at. An IPv4 address inside of an IPv6 one is
// judged as what it is.
func Public(addr netip.Addr) bool {
	if !addr.IsValid() || addr.Zone() != "" {
		return false
	}
	addr = addr.Unmap()
	if addr.Is6() && !unicast.Contains(addr) {
		return false
	}
	for _, network := range notPublic {
		if network.Contains(addr) {
			return false
		}
	}
	return true
}
