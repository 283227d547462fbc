package bmc

import (
	"bytes"
	"log/slog"
	"net"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"
)

func addr(s string) netip.Addr { return netip.MustParseAddr(s) }

func TestDefaultsAreOneBMC(t *testing.T) {
	f := newFleet(t, Options{})
	if f.Len() != 1 || f.BMC(0).Addr().Addr() != addr("127.0.0.1") || f.BMC(0).Addr().Port() == 0 {
		t.Errorf("%d BMCs, the first on %s", f.Len(), f.BMC(0).Addr())
	}
	c := dial(t, f.BMC(0))
	c.login()
	if c.on() {
		t.Error("on")
	}
}

func TestManyPorts(t *testing.T) {
	f := newFleet(t, Options{Count: 50})
	seen := map[netip.AddrPort]bool{}
	for i := range f.Len() {
		a := f.BMC(i).Addr()
		if a.Addr() != addr("127.0.0.1") || seen[a] {
			t.Fatalf("BMC %d on %s", i, a)
		}
		seen[a] = true
	}
}

func TestManyAddressesOnOnePort(t *testing.T) {
	f := newFleet(t, Options{Count: 300, Host: addr("127.20.0.1")})
	port := f.BMC(0).Addr().Port()
	want := addr("127.20.0.1")
	for i := range f.Len() {
		if got := f.BMC(i).Addr(); got != netip.AddrPortFrom(want, port) {
			t.Fatalf("BMC %d on %s, want %s", i, got, want)
		}
		want = want.Next()
	}
}

func TestGivenPortsAndAddresses(t *testing.T) {
	free := newFleet(t, Options{Host: addr("127.21.0.1")}).BMC(0).Addr().Port()
	f := newFleet(t, Options{Count: 3, Host: addr("127.22.0.1"), Port: free})
	if got := f.BMC(2).Addr(); got != netip.AddrPortFrom(addr("127.22.0.3"), free) {
		t.Errorf("host and port: %s", got)
	}
	f = newFleet(t, Options{Addrs: []netip.AddrPort{
		netip.AddrPortFrom(addr("127.23.0.1"), 0), netip.AddrPortFrom(addr("127.23.0.9"), 0),
	}})
	if f.Len() != 2 || f.BMC(1).Addr().Addr() != addr("127.23.0.9") {
		t.Errorf("addresses: %d, the second on %s", f.Len(), f.BMC(1).Addr())
	}
}

func TestConsecutivePorts(t *testing.T) {
	got, err := addresses(Options{Count: 3, Port: 7000})
	if err != nil || got[2] != netip.MustParseAddrPort("127.0.0.1:7002") {
		t.Errorf("%v, %v", got, err)
	}
}

func TestOptionsThatMakeNoSense(t *testing.T) {
	taken := newFleet(t, Options{}).BMC(0).Addr()
	long := strings.Repeat("x", 21)
	for want, o := range map[string]Options{
		"count -1":               {Count: -1},
		"count 60001":            {Count: maxCount + 1},
		"1 addresses given":      {Count: 2, Addrs: []netip.AddrPort{{}}},
		"user name":              {Username: long},
		"password":               {Password: long},
		"Kg":                     {Kg: []byte(long)},
		"privilege level 9":      {Limit: 9},
		"session slots":          {Sessions: 64},
		"power delay":            {PowerDelay: -1},
		"cipher suites [17 0]":   {Suites: []int{17, 0}},
		"ports from 65000":       {Count: 1000, Port: 65000},
		"no address follows":     {Count: 3, Host: addr("255.255.255.254"), Port: 1},
		"BMC 1 of 1":             {Addrs: []netip.AddrPort{taken}},
		"BMC 2 of 2":             {Addrs: []netip.AddrPort{netip.AddrPortFrom(taken.Addr(), 0), taken}},
		"cannot assign":          {Host: addr("192.0.2.1")},
		"cannot simulate BMCs: ": {Sessions: -1},
	} {
		f, err := New(o)
		if err == nil {
			_ = f.Close()
			t.Errorf("%s: no error", want)
			continue
		}
		if !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), long) {
			t.Errorf("%v, want %q in it and no password", err, want)
		}
	}
}

func TestCloseEndsEverything(t *testing.T) {
	f, err := New(Options{Count: 20})
	if err != nil {
		t.Fatal(err)
	}
	a := f.BMC(19).Addr()
	for range 2 {
		if err := f.Close(); err != nil {
			t.Fatal(err)
		}
	}
	conn, err := net.ListenUDP("udp", net.UDPAddrFromAddrPort(a)) // the port is free again
	if err != nil {
		t.Fatal(err)
	}
	_ = conn.Close()
}

func TestBMCsAreTheirOwn(t *testing.T) {
	f := newFleet(t, Options{Count: 3})
	operator(t, f.BMC(1)).must(callOn)
	for i := range f.Len() {
		if got := f.BMC(i).Power(); got != (i == 1) {
			t.Errorf("BMC %d: on %v", i, got)
		}
	}
	if f.BMC(0).GUID() == f.BMC(1).GUID() {
		t.Error("two BMCs have one GUID")
	}
	if again := newFleet(t, Options{}); again.BMC(0).GUID() != f.BMC(0).GUID() {
		t.Error("the same seed gives another GUID")
	}
	if other := newFleet(t, Options{Seed: 1}); other.BMC(0).GUID() == f.BMC(0).GUID() {
		t.Error("another seed gives the same GUID")
	}
}

func TestAThousandAtOnce(t *testing.T) {
	const count = 1000
	f := newFleet(t, Options{Count: count, Host: addr("127.24.0.1")})
	var wg sync.WaitGroup
	next := make(chan int)
	for range 16 {
		wg.Go(func() {
			for i := range next {
				c := dial(t, f.BMC(i))
				c.login()
				c.raise(Operator)
				c.must(callOn)
				c.must(c.closeRequest())
				_ = c.conn.Close()
			}
		})
	}
	for i := range count {
		next <- i
	}
	close(next)
	wg.Wait()
	for i := range count {
		b := f.BMC(i)
		in, out := b.Datagrams()
		if !b.Power() || b.Executed(PowerOn) != 1 || b.Sessions() != 0 || in != 6 || out != 6 {
			t.Fatalf("BMC %d: on %v, ledger %v, %d in, %d out", i, b.Power(), b.Ledger(), in, out)
		}
	}
}

func TestRealClock(t *testing.T) {
	clock := Options{}.withDefaults().Clock
	before := clock.Now()
	fired := make(chan struct{})
	clock.AfterFunc(time.Nanosecond, func() { close(fired) })
	<-fired
	if clock.Now().Before(before) {
		t.Error("time runs backwards")
	}
	if stop := clock.AfterFunc(time.Hour, func() { t.Error("fired") }); !stop() {
		t.Error("not stopped")
	}
}

func TestExecutedCommandsAreLogged(t *testing.T) {
	var buf bytes.Buffer
	logger := slog.New(slog.NewTextHandler(&buf, &slog.HandlerOptions{Level: slog.LevelDebug}))
	f, err := New(Options{Logger: logger})
	if err != nil {
		t.Fatal(err)
	}
	operator(t, f.BMC(0)).must(callOn)
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	if got := buf.String(); !strings.Contains(got, `command="power on"`) || strings.Contains(got, "password") {
		t.Errorf("%s", got)
	}
}

func TestLedgerNames(t *testing.T) {
	b, _ := newOne(t, Options{})
	if got := b.Ledger(); len(got) != 0 {
		t.Errorf("%v before anything", got)
	}
	executed(t, b, "no such command", 0)
	for _, c := range commands {
		if _, ok := named(c.name); !ok {
			t.Errorf("%q is not found", c.name)
		}
	}
	var l ledger
	l.add("no such command")
	l.add(PowerOn)
	if all := l.all(); len(all) != 1 || all[PowerOn] != 1 || l.count(PowerOn) != 1 {
		t.Errorf("%v", all)
	}
}
