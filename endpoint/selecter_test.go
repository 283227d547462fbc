package endpoint

import (
	"context"
	"io"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"provision-plugins/shared/model"
	"provision-plugins/shared/plugin"
)

// selecter is a toy that subscribes to the events it wants.
type selecter struct{ toy }

// SelectEvents wants to know of machines that come.
func (*selecter) SelectEvents() []string { return []string{"machines.create.*"} }

// beSelecter is the main function of a selecter. It finds the endpoint where the
// file "endpoint" says.
func beSelecter() int {
	dir := os.Getenv(envDir)
	if raw, err := os.ReadFile(filepath.Join(dir, "endpoint")); err == nil {
		if err := os.Setenv(plugin.EnvEndpoint, string(raw)); err != nil {
			return 1
		}
	}
	def := &model.PluginProvider{Name: "selecter", Version: "v1.0.0", PluginVersion: model.PluginVersion, AutoStart: true}
	plugin.InitApp(def.Name, "a toy that selects events", def.Version, def, &selecter{toy{role: def.Name, dir: dir}})
	return plugin.Main()
}

// cable is between the selecter and the endpoint, and can be cut.
type cable struct {
	far      string // address of the endpoint
	listener net.Listener
	all      sync.WaitGroup

	mu    sync.Mutex // guards the below
	conns map[net.Conn]bool
	cut   bool
}

// newCable listens for the selecter.
func newCable(t *testing.T) *cable {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	c := &cable{listener: l, conns: map[net.Conn]bool{}}
	t.Cleanup(func() {
		_ = l.Close() // nothing is lost by its error
		c.sever(true)
		c.all.Wait()
	})
	return c
}

// serve carries bytes to the endpoint and back.
func (c *cable) serve() {
	c.all.Go(func() {
		for {
			near, err := c.listener.Accept()
			if err != nil {
				return
			}
			far, err := net.Dial("tcp", c.far)
			if err != nil || !c.keep(near, far) {
				_ = near.Close() // it was refused
				continue
			}
			for _, pair := range [][2]net.Conn{{near, far}, {far, near}} {
				c.all.Go(func() {
					_, _ = io.Copy(pair[0], pair[1]) // until either ends
					_, _ = pair[0].Close(), pair[1].Close()
				})
			}
		}
	})
}

// keep notes a pair of connections; not while the cable is cut.
func (c *cable) keep(pair ...net.Conn) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, conn := range pair {
		if c.cut {
			_ = conn.Close()
			continue
		}
		c.conns[conn] = true
	}
	return !c.cut
}

// sever cuts the cable, or mends it.
func (c *cable) sever(cut bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.cut = cut
	for conn := range c.conns {
		_ = conn.Close() // both ends see it
	}
	clear(c.conns)
}

// created are the machines that the selecter was told of, in order.
func (r *rig) created() []string {
	var out []string
	for _, line := range r.lines("published") {
		if uuid, ok := strings.CutPrefix(line, "machines.create."); ok {
			out = append(out, uuid)
		} else {
			r.t.Errorf("the selecter was told %q", line)
		}
	}
	return out
}

// told waits until the selecter was told of a machine.
func (r *rig) told(uuid string) {
	r.t.Helper()
	eventually(r.t, "the selecter is told of "+uuid, func() bool { return slices.Contains(r.created(), uuid) })
}

// add makes a machine and returns its UUID.
func (r *rig) add(name string) string {
	r.t.Helper()
	m, err := r.c.Machines().Create(context.Background(), model.NewMachine(name))
	if err != nil {
		r.t.Fatal(err)
	}
	return m.Uuid
}

// underCable starts an endpoint and a selecter that reaches it by a cable.
func underCable(t *testing.T) (*rig, *cable) {
	t.Helper()
	r := start(t)
	line := newCable(t)
	line.far = r.e.Addr()
	line.serve()
	r.put("endpoint", "https://"+line.listener.Addr().String())
	r.install("selecter", "selecter")
	r.ready("selecter")
	return r, line
}

// wantCreated checks what the selecter was told of, in order and each once.
func (r *rig) wantCreated(want ...string) {
	r.t.Helper()
	if got := r.created(); !slices.Equal(got, want) {
		r.t.Errorf("the selecter was told of %v, want %v", got, want)
	}
}

// TestASelecterLosesItsStream has a plugin select its events over a stream that
// is cut and comes back.
func TestASelecterLosesItsStream(t *testing.T) {
	t.Parallel()
	r, line := underCable(t)
	first := r.add("m1")
	r.told(first)
	line.sever(true)
	eventually(t, "the loss in the log", func() bool { return strings.Contains(r.log.String(), "the event stream was lost") })
	r.add("m2") // nobody can tell the selecter
	line.sever(false)
	eventually(t, "the return in the log", func() bool { return strings.Contains(r.log.String(), "the event stream is back") })
	third := r.add("m3")
	r.told(third)
	r.wantCreated(first, third)
	if fault := r.pluginErrors("selecter"); fault != "" {
		t.Errorf("errors after the recovery: %s", fault)
	}
}

// TestASelecterDies kills a plugin while it is subscribed: the one after it is
// told of everything once.
func TestASelecterDies(t *testing.T) {
	t.Parallel()
	r, _ := underCable(t)
	first := r.add("m1")
	r.told(first)
	pid := pidOf(t, r, "selecter")
	proc, err := os.FindProcess(pid)
	if err != nil {
		t.Fatal(err)
	}
	if err := proc.Kill(); err != nil {
		t.Fatal(err)
	}
	r.replaced("selecter", pid)
	want := []string{first}
	for _, name := range []string{"m2", "m3", "m4"} {
		want = append(want, r.add(name))
	}
	r.told(want[3])
	r.wantCreated(want...)
}
