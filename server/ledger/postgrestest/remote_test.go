package postgrestest

import (
	"net"
	"net/netip"
	"os"
	"testing"

	"pgregory.net/rapid"
)

func TestPartition(t *testing.T) {
	r := StartRemote(t)
	conn, waiting := dial(t, r.URL("postgres")), dial(t, r.URL("postgres"))
	mustExec(t, conn, "CREATE TABLE records (id int)")
	r.Partition()
	answer := asked(waiting)
	mustHang(t, conn, r.URL("postgres"))
	mustStay(t, answer)
	r.Heal()
	if err := <-answer; err != nil {
		t.Errorf("what was asked meanwhile: %v", err)
	}
	mustExec(t, dial(t, r.URL("postgres")), "INSERT INTO records VALUES (1)")
	r.Kill()
	r.Start()
	if n := value[int](t, dial(t, r.URL("postgres")), "SELECT count(*) FROM records"); n != 1 {
		t.Errorf("after the kill there are %d rows", n)
	}
}

// TestPartitions: one cluster's partition is none of another's.
func TestPartitions(t *testing.T) {
	a, b := StartRemote(t), StartRemote(t)
	conn := dial(t, a.URL("postgres"))
	a.Partition()
	mustHang(t, conn, a.URL("postgres"))
	mustExec(t, dial(t, b.URL("postgres")), "SELECT 1")
	a.Heal()
}

func TestWireGone(t *testing.T) {
	var w wire
	t.Run("use", func(t *testing.T) { w = connect(t) })
	if w.namespace == "" {
		t.Skip("use says what is missing")
	}
	mustBeGone(t, "/run/netns/"+w.namespace)
	mustBeGone(t, "/sys/class/net/"+w.here.device)
	if err := w.remove(); err != nil {
		t.Errorf("when nothing is left: %v", err)
	}
}

func TestAddresses(t *testing.T) {
	network := netip.MustParsePrefix(benchmarking)
	rapid.Check(t, func(t *rapid.T) {
		slot := rapid.Uint32().Draw(t, "slot")
		here, there := addresses(slot)
		next, _ := addresses(slot + 1)
		of := netip.PrefixFrom(here, 30).Masked()
		if !network.Contains(here) || !of.Contains(there) || here == there || of.Contains(next) {
			t.Fatalf("%s and %s, then %s", here, there, next)
		}
		if here == of.Addr() || there == of.Addr().Next().Next().Next() {
			t.Fatalf("%s and %s: an address of the network itself", here, there)
		}
	})
}

// TestSlots: what is taken already is passed over.
func TestSlots(t *testing.T) {
	first := connect(t)
	for pid := range uint32(1 << 12) {
		here, _ := addresses(pid*8 + 1)
		if here != first.here.address {
			continue
		}
		w, err := newWire(t, int(pid), 1)
		if err != nil || w.here.address == first.here.address {
			t.Errorf("%s was given twice: %v", w.here.address, err)
		}
		return
	}
	if w, err := newWire(t, os.Getpid(), 1); err != nil || w.here.address == first.here.address {
		t.Errorf("%s was given twice: %v", w.here.address, err)
	}
}

func TestTaken(t *testing.T) {
	_, network, err := net.ParseCIDR("198.18.0.4/30")
	if err != nil {
		t.Fatal(err)
	}
	used := []net.Addr{network}
	if !taken(used, netip.MustParseAddr("198.18.0.5")) || taken(used, netip.MustParseAddr("198.18.0.9")) {
		t.Error("want only what the network holds to be taken")
	}
}
