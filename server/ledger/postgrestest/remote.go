package postgrestest

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"strings"
	"sync/atomic"
	"testing"
)

// benchmarking is the network for tests between networks (RFC 2544): no other host is in it.
const benchmarking = "198.18.0.0/15"

// links is how many links this process has made.
var links atomic.Uint32

// Remote is a cluster at the other end of a network link.
type Remote struct {
	*Cluster
	wire
}

// wire is a link between two network namespaces: that of the test, and one of the cluster's own.
type wire struct {
	tb        testing.TB
	namespace string
	here      end
	there     end
}

type end struct {
	device   string
	hardware string
	address  netip.Addr
}

// StartRemote is Start in a network namespace of the cluster's own. It takes root and iproute2: elsewhere the test is
// skipped, also where CI is set, since not every CI gives root.
func StartRemote(tb testing.TB, settings ...string) *Remote {
	tb.Helper()
	if _, err := programs(debian); err != nil {
		refuse(tb, err) // first: it is said of more tests
	}
	w := connect(tb)
	s, err := newServerAt(place{host: w.there.address.String(), port: 5432, namespace: w.namespace}, settings)
	if err != nil {
		refuse(tb, err)
	}
	return &Remote{own(tb, s), w}
}

// Partition takes the link down. Neither side is told: what is sent is lost, and sent again by TCP.
func (w wire) Partition() {
	w.tb.Helper()
	w.set("down")
}

// Heal takes the link up again. A connection goes on when TCP next tries, which it does ever more seldom: up to as long
// after this as the partition took.
func (w wire) Heal() {
	w.tb.Helper()
	w.set("up")
}

func (w wire) set(state string) {
	w.tb.Helper()
	if err := ip("-n", w.namespace, "link", "set", w.there.device, state); err != nil {
		w.tb.Fatal(err)
	}
}

func connect(tb testing.TB) wire {
	tb.Helper()
	if _, err := findIP(); err != nil || !supported || os.Geteuid() != 0 {
		tb.Skip("a partition by network namespaces needs Linux, root and iproute2 (on Debian: apt-get install iproute2)")
	}
	w, err := newWire(tb, os.Getpid(), links.Add(1))
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		if err := w.remove(); err != nil {
			tb.Error(err)
		}
	})
	if err := ip("netns", "add", w.namespace); err != nil {
		if strings.Contains(err.Error(), "not permitted") {
			tb.Skip("a partition by network namespaces needs leave to make them: ", err)
		}
		tb.Fatal(err)
	}
	if err := w.connect(); err != nil {
		tb.Fatal(err)
	}
	return w
}

// newWire finds names and addresses that no other process has: names have the process id in them, and of the 32768
// networks of four addresses each process begins with another.
func newWire(tb testing.TB, pid int, number uint32) (wire, error) {
	used, err := net.InterfaceAddrs()
	if err != nil {
		return wire{}, err
	}
	name := fmt.Sprintf("sp%d-%d", pid, number)
	for slot := uint32(pid)*8 + number; ; slot++ {
		here, there := addresses(slot)
		if number++; number > 1<<15 {
			return wire{}, errors.New("no network is free in " + benchmarking)
		}
		if taken(used, here) {
			continue
		}
		return wire{
			tb: tb, namespace: "stile-" + name,
			here:  end{name + "h", hardware(here), here},
			there: end{name + "c", hardware(there), there},
		}, nil
	}
}

func addresses(slot uint32) (here, there netip.Addr) {
	n := slot % (1 << 15) * 4
	b := [4]byte{198, byte(18 + n>>16), byte(n >> 8), byte(n)}
	here = netip.AddrFrom4(b).Next()
	return here, here.Next()
}

// hardware is a locally administered address.
func hardware(a netip.Addr) string {
	b := a.As4()
	return net.HardwareAddr{0x02, 0x00, b[0], b[1], b[2], b[3]}.String()
}

func taken(used []net.Addr, a netip.Addr) bool {
	for _, u := range used {
		if n, ok := u.(*net.IPNet); ok && n.Contains(a.AsSlice()) {
			return true
		}
	}
	return false
}

// connect makes the link. Each end knows the other's hardware address, and that for good on this side: nothing tells the
// test's kernel that the cluster is out of reach.
func (w wire) connect() error {
	in := []string{"-n", w.namespace}
	h, t := w.here, w.there
	for _, args := range [][]string{
		{"link", "add", h.device, "address", h.hardware, "type", "veth", "peer", t.device, "address", t.hardware, "netns", w.namespace},
		{"address", "add", h.address.String() + "/30", "dev", h.device},
		append(in, "address", "add", t.address.String()+"/30", "dev", t.device),
		append(in, "link", "set", "lo", "up"),
		append(in, "link", "set", t.device, "up"),
		{"link", "set", h.device, "up"},
		{"neighbour", "replace", t.address.String(), "lladdr", t.hardware, "dev", h.device, "nud", "permanent"},
	} {
		if err := ip(args...); err != nil {
			return err
		}
	}
	return nil
}

// remove is content when there is nothing to remove.
func (w wire) remove() error {
	var errs []error
	if _, err := net.InterfaceByName(w.here.device); err == nil {
		errs = append(errs, ip("link", "delete", w.here.device))
	}
	if _, err := os.Stat("/run/netns/" + w.namespace); err == nil {
		errs = append(errs, ip("netns", "delete", w.namespace))
	}
	return errors.Join(errs...)
}

// findIP also looks where only root's PATH leads.
func findIP() (path string, err error) {
	for _, name := range []string{"ip", "/usr/sbin/ip", "/sbin/ip"} {
		if path, err = exec.LookPath(name); err == nil {
			return path, nil
		}
	}
	return "", err
}

func ip(args ...string) error {
	path, err := findIP()
	if err != nil {
		return err
	}
	out, err := exec.CommandContext(context.Background(), path, args...).CombinedOutput()
	if err != nil {
		return fmt.Errorf("ip %s: %w: %s", strings.Join(args, " "), err, strings.TrimSpace(string(out)))
	}
	return nil
}
