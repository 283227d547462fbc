package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"provision-plugins/shared/client"
	"provision-plugins/shared/model"
)

const (
	apiMachines    = 100_000
	apiRacks       = 100 // as many machines are in one as a list selects of them
	apiSubscribers = 1_000
	apiWriters     = 64
)

// api measures the endpoint's REST API over https: one machine by its name, a
// list of 1,000 among 100,000 while another machine changes before each, and an
// event to 1,000 subscribers.
func (b *bench) api(ctx context.Context) (err error) {
	c, stop, err := b.serveAPI(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, stop()) }()
	began := time.Now()
	if err := fillMachines(ctx, c); err != nil {
		return err
	}
	fmt.Printf("# api: %d machines were added in %.0f s\n", apiMachines, time.Since(began).Seconds())
	get := func(i int) error { return c.Get(ctx, "machines/Name:m"+strconv.Itoa(i%apiMachines), nil) }
	if err := b.latency("api/get", 1_000, get); err != nil {
		return err
	}
	rack := func(i int) string { return "machines?rack=Eq(r" + strconv.Itoa(i%apiRacks) + ")" }
	for i := range apiRacks { // what is shown is encoded once
		var got []json.RawMessage
		if err := c.Get(ctx, rack(i), &got); err != nil {
			return err
		}
		if len(got) != apiMachines/apiRacks {
			return fmt.Errorf("a list of %d machines", len(got))
		}
	}
	list := func(i int) error { return c.Get(ctx, rack(i), nil) } // read to its end, not decoded
	if err := b.latency("api/list-1000-of-100000", 200, list); err != nil {
		return err
	}
	changed := func(i int) error {
		return c.Post(ctx, "machines/Name:m"+strconv.Itoa(i)+"/params/seen", i, nil)
	}
	err = b.latency("api/list-1000-of-100000/changing", 200, list, changed)
	return errors.Join(err, b.fanOut(ctx, c))
}

// latency reports the median and the 99th percentile of a call, in milliseconds;
// what is done before each call is not measured.
func (b *bench) latency(name string, calls int, call func(i int) error, before ...func(i int) error) error {
	var p50, p99 series
	for run := range b.runs {
		var times series
		for i := range calls {
			for _, fn := range before {
				if err := fn(run*calls + i); err != nil {
					return err
				}
			}
			start := time.Now()
			if err := call(i); err != nil {
				return err
			}
			times = append(times, float64(time.Since(start).Microseconds())/1000)
		}
		slices.Sort(times)
		p50, p99 = append(p50, times.median()), append(p99, times[len(times)*99/100])
	}
	report(name+"/p50", "ms", p50, nil)
	report(name+"/p99", "ms", p99, nil)
	return nil
}

// serveAPI starts an endpoint without plugins and returns a client on its https
// port, and what stops it.
func (b *bench) serveAPI(ctx context.Context) (*client.Client, func() error, error) {
	dir, err := os.MkdirTemp(b.dir, "a")
	if err != nil {
		return nil, nil, err
	}
	socket := filepath.Join(dir, "oob.sock")
	cmd := exec.CommandContext(ctx, filepath.Join(b.bin, "oob"), "serve", "--data-dir", dir,
		"--plugin-dir", filepath.Join(dir, "plugins"), "--socket", socket, "--listen", "127.0.0.1:0")
	if err := cmd.Start(); err != nil {
		return nil, nil, err
	}
	stop := func() error { return errors.Join(cmd.Process.Signal(syscall.SIGTERM), cmd.Wait()) }
	c, err := apiClient(ctx, dir, socket)
	if err != nil {
		return nil, nil, errors.Join(err, stop())
	}
	return c, func() error { return errors.Join(c.Close(), stop()) }, nil
}

// apiClient waits for an endpoint on its socket and returns a client on its
// https port.
func apiClient(ctx context.Context, dir, socket string) (*client.Client, error) {
	local, err := client.New(client.Options{Socket: socket})
	if err != nil {
		return nil, err
	}
	defer local.Close()
	var info model.Info
	for {
		if err = local.Get(ctx, "info", &info); err == nil {
			break
		}
		if err := pause(ctx, 50*time.Millisecond); err != nil {
			return nil, err
		}
	}
	token, err := os.ReadFile(filepath.Join(dir, "admin.token"))
	if err != nil {
		return nil, err
	}
	return client.New(client.Options{
		Endpoint: "https://127.0.0.1:" + strconv.Itoa(info.APIPort), Token: string(token[:len(token)-1]), CAFile: filepath.Join(dir, "tls.crt"),
	})
}

// fillMachines adds the machines.
func fillMachines(ctx context.Context, c *client.Client) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var next atomic.Int64
	var writers sync.WaitGroup
	for range apiWriters {
		writers.Go(func() {
			for i := int(next.Add(1)) - 1; i < apiMachines && ctx.Err() == nil; i = int(next.Add(1)) - 1 {
				m := model.NewMachine("m" + strconv.Itoa(i))
				m.Params = model.Params{"rack": "r" + strconv.Itoa(i%apiRacks), "unit": i, "ipmi/address": "192.0.2.1", "ipmi/username": "admin"}
				if err := c.Post(ctx, "machines", m, nil); err != nil {
					cancel(err)
				}
			}
		})
	}
	writers.Wait()
	return context.Cause(ctx)
}

// fanOut measures an event from its POST until every subscriber has it.
func (b *bench) fanOut(ctx context.Context, c *client.Client) error {
	ctx, cancel := context.WithCancel(ctx)
	var readers, seen sync.WaitGroup
	defer readers.Wait()
	defer cancel()
	for range apiSubscribers {
		s, err := c.Subscribe(ctx, []string{"bench.*.*"})
		if err != nil {
			return err
		}
		readers.Go(func() {
			// It ends with the context.
			_ = s.Each(ctx, func(*model.Event) error {
				seen.Done()
				return nil
			})
		})
	}
	return b.latency("api/event-to-1000", 50, func(int) error {
		seen.Add(apiSubscribers)
		if err := c.Post(ctx, "events", model.Event{Type: "bench", Action: "x", Key: "y"}, nil); err != nil {
			return err
		}
		seen.Wait()
		return nil
	})
}
