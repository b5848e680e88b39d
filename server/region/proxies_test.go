package region_test

import (
	"net"
	"net/http"
	"net/netip"
	"strings"
	"testing"

	"github.com/stilehq/stile/server/region"
)

func proxies(t testing.TB, list ...string) region.Proxies {
	t.Helper()
	p, err := region.ParseProxies(list)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func request(remote string, forwarded ...string) *http.Request {
	r := &http.Request{RemoteAddr: remote, Header: http.Header{}}
	for _, line := range forwarded {
		r.Header.Add("X-Forwarded-For", line)
	}
	return r
}

func TestClient(t *testing.T) {
	const direct, proxy, proxy6 = "198.51.100.7:4711", "10.0.0.1:4711", "[::1]:4711"
	p := proxies(t, "10.0.0.0/8", "::1", "203.0.113.9", "2001:db8:aa::/48")
	for _, test := range []struct {
		name, remote string
		forwarded    []string
		want         string // "" for unknown
	}{
		{"direct", direct, nil, "198.51.100.7"},
		{"direct, and forged", direct, []string{"81.2.69.142"}, "198.51.100.7"},
		{"direct over IPv6", "[2001:db8::7]:4711", []string{"81.2.69.142"}, "2001:db8::7"},
		{"direct, link-local", "[fe80::7%eth0]:4711", nil, "fe80::7"},
		{"direct, mapped into IPv6", "[::ffff:198.51.100.7]:4711", nil, "198.51.100.7"},
		{"proxy", proxy, []string{"81.2.69.142"}, "81.2.69.142"},
		{"proxy over IPv6", proxy6, []string{"81.2.69.142"}, "81.2.69.142"},
		{"proxy, mapped into IPv6", "[::ffff:10.0.0.1]:4711", []string{"81.2.69.142"}, "81.2.69.142"},
		{"visitor over IPv6", proxy, []string{"2001:db8::7"}, "2001:db8::7"},
		{"visitor, mapped into IPv6", proxy, []string{"::ffff:81.2.69.142"}, "81.2.69.142"},
		{"two proxies", proxy, []string{"81.2.69.142, 203.0.113.9"}, "81.2.69.142"},
		{"three proxies, two lines", proxy, []string{"81.2.69.142, 2001:db8:aa::1", "203.0.113.9"}, "81.2.69.142"},
		{"a line for each", proxy, []string{"8.8.8.8", "81.2.69.142", "203.0.113.9"}, "81.2.69.142"},
		{"forged on the left", proxy, []string{"8.8.8.8, 81.2.69.142"}, "81.2.69.142"},
		{"a forged proxy on the left", proxy, []string{"8.8.8.8, 10.0.0.2, 81.2.69.142, 203.0.113.9"}, "81.2.69.142"},
		{"rubbish on the left", proxy, []string{"<script>, 81.2.69.142"}, "81.2.69.142"},
		{"no spaces", proxy, []string{"8.8.8.8,81.2.69.142,203.0.113.9"}, "81.2.69.142"},
		{"many spaces", proxy, []string{" 8.8.8.8 ,\t81.2.69.142\t, 203.0.113.9 "}, "81.2.69.142"},
		{"with a port", proxy, []string{"81.2.69.142:5555"}, "81.2.69.142"},
		{"in brackets", proxy, []string{"[2001:db8::7]"}, "2001:db8::7"},
		{"in brackets with a port", proxy, []string{"[2001:db8::7]:5555, 203.0.113.9:1"}, "2001:db8::7"},
		{"a trusted address that is mapped", proxy, []string{"81.2.69.142, ::ffff:203.0.113.9"}, "81.2.69.142"},
		{"a private visitor", proxy, []string{"192.168.1.5"}, "192.168.1.5"},
		{"proxy without the header", proxy, nil, ""},
		{"proxy with an empty header", proxy, []string{""}, ""},
		{"nobody but proxies", proxy, []string{"10.0.0.2, 203.0.113.9"}, ""},
		{"rubbish on the right", proxy, []string{"81.2.69.142, unknown"}, ""},
		{"rubbish between", proxy, []string{"81.2.69.142, _hidden, 203.0.113.9"}, ""},
		{"an empty entry", proxy, []string{"81.2.69.142,, 203.0.113.9"}, ""},
		{"an empty line", proxy, []string{"81.2.69.142", ""}, ""},
		{"a network", proxy, []string{"81.2.69.0/24"}, ""},
		{"a bracket too few", proxy, []string{"[2001:db8::7"}, ""},
		{"a Unix socket", "@", []string{"81.2.69.142"}, ""},
		{"no connection", "", []string{"81.2.69.142"}, ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			var want netip.Addr
			if test.want != "" {
				want = netip.MustParseAddr(test.want)
			}
			if got := p.Client(request(test.remote, test.forwarded...)); got != want {
				t.Errorf("got %v, want %v", got, want)
			}
		})
	}
}

func TestClientWithoutProxies(t *testing.T) {
	got := region.Proxies{}.Client(request("127.0.0.1:4711", "81.2.69.142"))
	if got != netip.MustParseAddr("127.0.0.1") {
		t.Errorf("an unconfigured proxy is believed: %v", got)
	}
}

func TestParseProxiesSaysWhatIsWrong(t *testing.T) {
	for _, test := range []struct{ text, want string }{
		{"", "neither an address nor a network"},
		{"proxy.example", "neither an address nor a network"},
		{"10.0.0.0/33", "neither an address nor a network"},
		{"10.0.0.1:80", "neither an address nor a network"},
		{"fe80::1%eth0", "neither an address nor a network"},
		{"10.1.2.3/8", "write 10.1.2.3 or 10.0.0.0/8"},
		{"::ffff:10.0.0.1", "write the IPv4 address alone"},
		{"::ffff:10.0.0.0/104", "write the IPv4 address alone"},
		{"0.0.0.0/0", "is everybody"},
		{"::/0", "is everybody"},
	} {
		p, err := region.ParseProxies([]string{"::1", test.text})
		if err == nil || !strings.Contains(err.Error(), test.want) || !strings.Contains(err.Error(), `"`+test.text+`"`) {
			t.Errorf("%q: %v, want %q", test.text, err, test.want)
		}
		if got := p.Client(request("[::1]:1", "81.2.69.142")); got != netip.IPv6Loopback() {
			t.Errorf("%q: what was refused is believed in part: %v", test.text, got)
		}
	}
}

// FuzzForwardedFor asserts that no address is made up: it is the connection's, or stands in the header, and is no proxy's.
func FuzzForwardedFor(f *testing.F) {
	f.Add("10.0.0.1:4711", "81.2.69.142, 203.0.113.9", "10.0.0.2")
	f.Add("[::1]:4711", "[2001:db8::7]:5555,,", " ::ffff:1.2.3.4%x ")
	f.Add("198.51.100.7:4711", "unknown", "_hidden, \x00")
	f.Add("@", "", ",")
	p := proxies(f, "10.0.0.0/8", "::1")
	proxy := []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("::1/128")}
	f.Fuzz(func(t *testing.T, remote, first, second string) {
		got := p.Client(request(remote, first, second))
		if !got.IsValid() {
			return
		}
		if got.Is4In6() || got.Zone() != "" || proxy[0].Contains(got) || proxy[1].Contains(got) {
			t.Fatalf("%v is not a visitor's address", got)
		}
		for _, text := range append(strings.Split(first+","+second, ","), remote) {
			if stands(text, got) {
				return
			}
		}
		t.Fatalf("%v stands neither in %q nor in %q, %q", got, remote, first, second)
	})
}

// stands tells, by other means than the code under test, whether a text is an address.
func stands(text string, addr netip.Addr) bool {
	text = strings.Trim(text, " \t")
	host, _, err := net.SplitHostPort(text)
	if err != nil {
		host = strings.Trim(text, "[]")
	}
	host, _, _ = strings.Cut(host, "%")
	return net.ParseIP(host).Equal(addr.AsSlice())
}

func BenchmarkClient(b *testing.B) {
	p := proxies(b, "10.0.0.0/8", "::1")
	r := request("10.0.0.1:4711", "8.8.8.8, 81.2.69.142, 10.0.0.2")
	b.ReportAllocs()
	for b.Loop() {
		p.Client(r)
	}
}
