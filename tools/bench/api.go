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
	apiRack        = 1_000 // machines that a list selects
	apiSubscribers = 1_000
	apiWriters     = 64
)

// api measures the endpoint's REST API over https: one machine by its name, a
// list of 1,000 among all while another machine changes before each, and an
// event to 1,000 subscribers. None of them waits for the disk.
func (b *bench) api(ctx context.Context) (err error) {
	c, stop, err := b.serveAPI(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, stop()) }()
	began := time.Now()
	racks := max(b.machines/apiRack, 1)
	machines := racks * apiRack
	if err := fillMachines(ctx, c, machines); err != nil {
		return err
	}
	fmt.Printf("# api: %d machines were added in %.0f s\n", machines, time.Since(began).Seconds())
	get := func(i int) error { return c.Get(ctx, "machines/Name:m"+strconv.Itoa(i%machines), nil) }
	if err := b.latency("api/get", 1_000, get); err != nil {
		return err
	}
	rack := func(i int) string { return "machines?rack=Eq(r" + strconv.Itoa(i%racks) + ")" }
	for i := range racks { // what is shown is encoded once
		var got []json.RawMessage
		if err := c.Get(ctx, rack(i), &got); err != nil {
			return err
		}
		if len(got) != apiRack {
			return fmt.Errorf("a list of %d machines", len(got))
		}
	}
	list := func(i int) error { return c.Get(ctx, rack(i), nil) } // read to its end, not decoded
	name := fmt.Sprintf("api/list-%d-of-%d", apiRack, machines)
	if err := b.latency(name, 200, list); err != nil {
		return err
	}
	changed := func(i int) error {
		return c.Post(ctx, "machines/Name:m"+strconv.Itoa(i)+"/params/seen", i, nil)
	}
	err = b.latency(name+"/changing", 200, list, changed)
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
	dir, err := os.MkdirTemp(memoryDir(b.dir), "bench-api-")
	if err != nil {
		return nil, nil, err
	}
	socket := filepath.Join(dir, "oob.sock")
	cmd := exec.CommandContext(ctx, filepath.Join(b.bin, "oob"), "serve", "--data-dir", dir,
		"--plugin-dir", filepath.Join(dir, "plugins"), "--socket", socket, "--listen", "127.0.0.1:0")
	if err := cmd.Start(); err != nil {
		return nil, nil, errors.Join(err, os.RemoveAll(dir))
	}
	stop := func() error {
		return errors.Join(cmd.Process.Signal(syscall.SIGTERM), cmd.Wait(), os.RemoveAll(dir))
	}
	c, err := apiClient(ctx, dir, socket)
	if err != nil {
		return nil, nil, errors.Join(err, stop())
	}
	return c, func() error { return errors.Join(c.Close(), stop()) }, nil
}

// memoryDir is a folder in memory, where there is one, else another: adding a
// machine is three writes that wait for the disk, and no figure is about them.
func memoryDir(other string) string {
	const shared = "/dev/shm"
	if info, err := os.Stat(shared); err == nil && info.IsDir() {
		return shared
	}
	return other
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

// fillMachines adds machines, and puts as many into each rack as a list selects.
func fillMachines(ctx context.Context, c *client.Client, machines int) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var next atomic.Int64
	var writers sync.WaitGroup
	for range apiWriters {
		writers.Go(func() {
			for i := int(next.Add(1)) - 1; i < machines && ctx.Err() == nil; i = int(next.Add(1)) - 1 {
				m := model.NewMachine("m" + strconv.Itoa(i))
				m.Params = model.Params{"rack": "r" + strconv.Itoa(i%(machines/apiRack)), "unit": i, "ipmi/address": "192.0.2.1", "ipmi/username": "admin"}
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
