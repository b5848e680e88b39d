package region

import (
	"fmt"
	"net/http"
	"net/netip"
	"strings"
)

// Proxies are the networks whose word on who the visitor is can be believed. The zero value believes nobody. They do not
// change, and are safe for concurrent use.
type Proxies struct {
	networks []netip.Prefix
}

// ParseProxies reads addresses ("::1") and networks ("10.0.0.0/8"). The error names the first that cannot be meant, and
// what to write instead.
func ParseProxies(list []string) (Proxies, error) {
	var p Proxies
	for _, text := range list {
		network, err := parseNetwork(text)
		if err != nil {
			return Proxies{}, err
		}
		p.networks = append(p.networks, network)
	}
	return p, nil
}

func parseNetwork(text string) (netip.Prefix, error) {
	network, err := netip.ParsePrefix(text)
	if addr, notAddr := netip.ParseAddr(text); notAddr == nil && addr.Zone() == "" {
		network, err = netip.PrefixFrom(addr, addr.BitLen()), nil
	}
	switch {
	case err != nil:
		return network, fmt.Errorf("the trusted proxy %q is neither an address nor a network; write it like ::1 or 10.0.0.0/8", text)
	case network.Addr().Is4In6():
		return network, fmt.Errorf("the trusted proxy %q is an IPv4 address inside an IPv6 one; write the IPv4 address alone", text)
	case network.Bits() == 0:
		return network, fmt.Errorf("the trusted proxy %q is everybody, which leaves nobody to be a visitor; name the proxies' own networks", text)
	case network != network.Masked():
		return network, fmt.Errorf("the trusted proxy %q is an address with a network's length; write %s or %s", text, network.Addr(), network.Masked())
	}
	return network, nil
}

// Client returns the visitor's address: the connection's own, unless that is a trusted proxy's. Then it is the rightmost
// one in X-Forwarded-For that is not, since each proxy adds on the right whom it was asked by, and what stands further left
// is the visitor's to invent.
//
// The address is unknown (the zero Addr) where a trusted proxy names nobody, where an entry before that one is no address,
// and where the connection has none (a Unix socket). Echo's ExtractIPFromXFFHeader would give the proxy's address there, and
// so take the proxy's country for the visitor's.
func (p Proxies) Client(r *http.Request) netip.Addr {
	connection, _ := netip.ParseAddrPort(r.RemoteAddr) // the zero one on an error
	addr := plain(connection.Addr())
	if !p.trust(addr) {
		return addr
	}
	lines := r.Header["X-Forwarded-For"] // several are one list, in their order (RFC 9110, 5.3)
	for i := len(lines) - 1; i >= 0; i-- {
		for rest, more := lines[i], true; more; {
			var entry string
			rest, entry, more = cutLast(rest)
			if addr = parseEntry(strings.Trim(entry, " \t")); !p.trust(addr) {
				return addr
			}
		}
	}
	return netip.Addr{}
}

// Trusts tells whether a connection's other end, as http.Request.RemoteAddr has it, is one of them.
func (p Proxies) Trusts(remote string) bool {
	connection, err := netip.ParseAddrPort(remote)
	return err == nil && p.trust(plain(connection.Addr()))
}

func (p Proxies) trust(addr netip.Addr) bool {
	for _, network := range p.networks {
		if network.Contains(addr) {
			return true
		}
	}
	return false
}

// cutLast cuts a list before its last entry; more tells whether anything was before it.
func cutLast(list string) (rest, entry string, more bool) {
	i := strings.LastIndexByte(list, ',')
	return list[:max(i, 0)], list[i+1:], i >= 0
}

// parseEntry reads an address, which some proxies write in brackets or with a port ("192.0.2.1:80", "[2001:db8::1]:80"), or
// gives the zero Addr.
func parseEntry(s string) netip.Addr {
	addr, err := netip.ParseAddr(s)
	if err != nil {
		if strings.HasPrefix(s, "[") && strings.HasSuffix(s, "]") {
			s += ":0"
		}
		withPort, _ := netip.ParseAddrPort(s)
		addr = withPort.Addr()
	}
	return plain(addr)
}

// plain gives an address the one form in which networks are compared: IPv4 as IPv4, and no zone.
func plain(addr netip.Addr) netip.Addr { return addr.Unmap().WithZone("") }
