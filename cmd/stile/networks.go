package main

import (
	"fmt"
	"net/netip"
)

// parseNetworks reads networks ("10.0.0.0/8") and single addresses.
func parseNetworks(list []string) (networks []netip.Prefix, err error) {
	for _, text := range list {
		network, err := netip.ParsePrefix(text)
		if addr, notAddr := netip.ParseAddr(text); notAddr == nil && addr.Zone() == "" {
			network, err = netip.PrefixFrom(addr, addr.BitLen()), nil
		}
		switch {
		case err != nil:
			return nil, fmt.Errorf("%q is neither an address nor a network; write it like 10.1.0.0/16 or fd00:1::/48", text)
		case network.Addr().Is4In6():
			return nil, fmt.Errorf("%q is an IPv4 address inside an IPv6 one; write the IPv4 address alone", text)
		case network.Bits() == 0:
			return nil, fmt.Errorf("%q is every address there is, this machine's own among them; name the vendor's network", text)
		case network != network.Masked():
			return nil, fmt.Errorf("%q is an address with a network's length; write %s or %s", text, network.Addr(), network.Masked())
		}
		networks = append(networks, network)
	}
	return networks, nil
}
