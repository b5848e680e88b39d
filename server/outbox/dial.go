package outbox

import (
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"syscall"
	"time"
)

// errRefused is what an attempt to reach a place that is not public ends with.
var errRefused = errors.New("the address is not public")

// transport reaches the public internet by TLS, and what else is allowed also without. It takes no proxy from the
// environment: a proxy would reach what is refused here.
type transport struct{ secure, plain *http.Transport }

func newTransport(allow []netip.Prefix, timeout time.Duration) *transport {
	return &transport{secure: dialing(guard{allow: allow, public: true}, timeout), plain: dialing(guard{allow: allow}, timeout)}
}

func dialing(g guard, timeout time.Duration) *http.Transport {
	d := &net.Dialer{Timeout: timeout, Control: g.control}
	return &http.Transport{
		DialContext: d.DialContext, ForceAttemptHTTP2: true, TLSClientConfig: &tls.Config{MinVersion: tls.VersionTLS12}, TLSHandshakeTimeout: timeout,
		DisableCompression: true, MaxIdleConnsPerHost: mostPerHost, MaxIdleConns: 4 * mostSenders, IdleConnTimeout: time.Minute, MaxResponseHeaderBytes: 64 << 10,
	}
}

// RoundTrip implements http.RoundTripper.
func (t *transport) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.URL.Scheme == "https" {
		return t.secure.RoundTrip(r)
	}
	return t.plain.RoundTrip(r)
}

func (t *transport) closeIdle() {
	t.secure.CloseIdleConnections()
	t.plain.CloseIdleConnections()
}

// guard decides on addresses when they are connected to: what a name stood for earlier says nothing.
type guard struct {
	allow  []netip.Prefix
	public bool
}

func (g guard) control(network, address string, _ syscall.RawConn) error {
	addr, err := netip.ParseAddrPort(address)
	if err != nil || network != "tcp4" && network != "tcp6" {
		return fmt.Errorf("%w: %s %s", errRefused, network, address)
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
		return fmt.Errorf("%w: %s; name its network in --forward-networks if it is meant", errRefused, addr)
	}
	if !g.public {
		return fmt.Errorf("%w by http: %s; use https", errRefused, addr)
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
