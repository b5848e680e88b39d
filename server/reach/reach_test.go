package reach

import (
	"errors"
	"net"
	"net/netip"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

func TestPublic(t *testing.T) {
	for text, want := range map[string]bool{
		"8.8.8.8": true, "1.1.1.1": true, "93.184.216.34": true, "172.15.255.255": true, "172.32.0.0": true, "192.0.1.1": true, "100.63.255.255": true,
		"100.128.0.0": true, "223.255.255.255": true, "2606:4700::1111": true, "2a00:1450:4001::200e": true, "2001:4860:4860::8888": true, "::ffff:8.8.8.8": true,

		"0.0.0.0": false, "0.1.2.3": false, "127.0.0.1": false, "127.255.255.254": false, "10.0.0.1": false, "172.16.0.1": false, "172.31.255.255": false,
		"192.168.1.1": false, "169.254.169.254": false, "169.254.170.2": false, "100.64.0.1": false, "100.100.100.200": false, "168.63.129.16": false,
		"192.0.0.192": false, "192.0.2.1": false, "198.51.100.1": false, "203.0.113.1": false, "192.88.99.1": false, "198.18.0.1": false, "224.0.0.1": false,
		"239.255.255.250": false, "240.0.0.1": false, "255.255.255.255": false,
		"::": false, "::1": false, "fe80::1": false, "fe80::1%eth0": false, "2606:4700::1111%eth0": false, "fc00::1": false, "fd00:ec2::254": false, "ff02::1": false,
		"fec0::1": false, "::ffff:127.0.0.1": false, "::ffff:10.0.0.1": false, "::ffff:169.254.169.254": false, "::127.0.0.1": false, "::8.8.8.8": false,
		"64:ff9b::7f00:1": false, "64:ff9b::808:808": false, "64:ff9b:1::1": false, "2002:7f00:1::": false, "2002:808:808::1": false, "2001::1": false,
		"2001:0:53aa:64c::1": false, "2001:db8::1": false, "3fff::1": false, "2001:2::1": false, "2001:10::1": false, "100::1": false, "5f00::1": false,
	} {
		addr := netip.MustParseAddr(text)
		if got := Public(addr); got != want {
			t.Errorf("%s is public: %v", text, got)
		}
		// What is allowed is allowed, with TLS or not; nothing else comes along.
		network := netip.PrefixFrom(addr.Unmap().WithZone(""), addr.Unmap().BitLen())
		for _, public := range []bool{true, false} {
			if err := (guard{public: public}).check(addr); err == nil != (want && public) || err != nil && !errors.Is(err, ErrRefused) {
				t.Errorf("%s with TLS %v: %v", text, public, err)
			}
			if err := (guard{allow: []netip.Prefix{network}, public: public}).check(addr); err != nil && addr.Zone() == "" {
				t.Errorf("%s is allowed: %v", text, err)
			}
		}
	}
	if Public(netip.Addr{}) {
		t.Error("no address is public")
	}
}

// Whatever net calls something else than global unicast, or private, is refused, and so is each way of writing it.
func TestPublicProperty(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		b := rapid.SliceOfN(rapid.Byte(), 16, 16).Draw(t, "bytes")
		if rapid.Bool().Draw(t, "tricky") {
			prefix := netip.MustParseAddr(rapid.SampledFrom([]string{"::ffff:0:0", "::", "64:ff9b::", "2002::", "2001::", "fe80::", "fd00::", "ff02::", "2001:db8::"}).Draw(t, "prefix")).As16()
			copy(b[:2], prefix[:2])
			if prefix == netip.MustParseAddr("::ffff:0:0").As16() || prefix == netip.MustParseAddr("64:ff9b::").As16() {
				copy(b[:12], prefix[:12])
			}
		}
		for _, addr := range []netip.Addr{netip.AddrFrom16([16]byte(b)), netip.AddrFrom4([4]byte(b[12:]))} {
			ip := net.IP(addr.AsSlice())
			special := !ip.IsGlobalUnicast() || ip.IsPrivate() || ip.IsLoopback() || ip.IsLinkLocalUnicast() || ip.IsMulticast() || ip.IsUnspecified()
			if Public(addr) && special {
				t.Fatalf("%s is held to be public", addr)
			}
			mapped := netip.AddrFrom16(addr.As16())
			if Public(addr) != Public(mapped) {
				t.Fatalf("%s and %s are judged apart", addr, mapped)
			}
		}
	})
}

func FuzzControl(f *testing.F) {
	f.Add("tcp4", "127.0.0.1:80")
	f.Add("tcp6", "[::1]:80")
	f.Add("tcp6", "[fe80::1%lo]:443")
	f.Add("udp4", "8.8.8.8:53")
	f.Add("unix", "/run/docker.sock")
	f.Add("tcp4", "8.8.8.8:443")
	f.Fuzz(func(t *testing.T, network, address string) {
		err := guard{public: true}.control(network, address, nil)
		ap, parsed := netip.ParseAddrPort(address)
		if err == nil && (parsed != nil || !Public(ap.Addr()) || !strings.HasPrefix(network, "tcp")) {
			t.Errorf("%s %s is let through", network, address)
		}
		if err != nil && !errors.Is(err, ErrRefused) {
			t.Errorf("%s %s: %v", network, address, err)
		}
	})
}
