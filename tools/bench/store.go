package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"provision-plugins/shared/client"
	"provision-plugins/shared/model"
)

const (
	storeWriters = 64
	// storePad brings a machine to about a kilobyte as it is stored.
	storePad = 500
	// patchFor is how long each run of changes takes.
	patchFor = 5 * time.Second
)

// durable is an endpoint whose data are on a disk.
type durable struct {
	b   *bench
	dir string
	cmd *exec.Cmd
	c   *client.Client
}

// store measures the endpoint's storage on the disk that holds the temporary
// folder: how long it takes to add the machines and to start with them, what they
// take in memory, how many durable changes a second there are, and how long a
// snapshot takes meanwhile.
func (b *bench) store(ctx context.Context) (err error) {
	dir, err := os.MkdirTemp(b.dir, "store-")
	if err != nil {
		return err
	}
	d := &durable{b: b, dir: dir}
	if err := d.start(ctx); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, d.stop()) }()
	began := time.Now()
	if err := d.load(ctx); err != nil {
		return err
	}
	report("store/load", "s", series{time.Since(began).Seconds()}, nil)
	if err := d.memory(ctx, "store/loaded/anon-rss"); err != nil {
		return err
	}
	if err := d.starts(ctx); err != nil {
		return err
	}
	if err := d.memory(ctx, "store/started/anon-rss"); err != nil {
		return err
	}
	return errors.Join(d.patches(ctx), d.snapshots(ctx))
}

// start starts the endpoint and waits until it answers.
func (d *durable) start(ctx context.Context) error {
	socket := filepath.Join(d.dir, "oob.sock")
	d.cmd = exec.CommandContext(ctx, filepath.Join(d.b.bin, "oob"), "serve", "--data-dir", d.dir, "--backup-keep", "0",
		"--plugin-dir", filepath.Join(d.dir, "plugins"), "--socket", socket, "--listen", "127.0.0.1:0", "--log", "1")
	d.cmd.Stderr = os.Stderr
	if err := d.cmd.Start(); err != nil {
		return err
	}
	var err error
	d.c, err = apiClient(ctx, d.dir, socket)
	return err
}

// stop stops it.
func (d *durable) stop() error {
	var err error
	if d.c != nil {
		err = d.c.Close()
	}
	return errors.Join(err, d.cmd.Process.Signal(syscall.SIGTERM), d.cmd.Wait())
}

// load adds the machines.
func (d *durable) load(ctx context.Context) error {
	return d.each(ctx, d.b.machines, func(i int) error {
		m := model.NewMachine("m" + strconv.Itoa(i))
		m.Params = model.Params{
			"rack": "r" + strconv.Itoa(i/apiRack), "unit": i, "ipmi/address": fmt.Sprintf("10.%d.%d.%d", i>>16, i>>8&255, i&255),
			"ipmi/username": "admin", "note": strings.Repeat("x", storePad),
		}
		return d.c.Post(ctx, "machines", m, nil)
	})
}

// each calls fn with every number below n, from many goroutines, until one fails.
func (d *durable) each(ctx context.Context, n int, fn func(i int) error) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var next atomic.Int64
	var writers sync.WaitGroup
	for range storeWriters {
		writers.Go(func() {
			for i := int(next.Add(1)) - 1; i < n && ctx.Err() == nil; i = int(next.Add(1)) - 1 {
				if err := fn(i); err != nil {
					cancel(err)
				}
			}
		})
	}
	writers.Wait()
	return context.Cause(ctx)
}

// memory reports the endpoint's anonymous memory at rest.
func (d *durable) memory(ctx context.Context, name string) error {
	if err := pause(ctx, 5*settle); err != nil {
		return err
	}
	f, err := os.Open(fmt.Sprintf("/proc/%d/status", d.cmd.Process.Pid))
	if err != nil {
		return err
	}
	defer f.Close()
	for lines := bufio.NewScanner(f); lines.Scan(); {
		var kib float64
		if _, err := fmt.Sscanf(lines.Text(), "RssAnon: %f kB", &kib); err == nil {
			report(name, "MB", series{kib / 1024}, nil)
			return nil
		}
	}
	return errors.New("no RssAnon in the process's status")
}

// cpu is the processor time that the endpoint has taken so far.
func (d *durable) cpu() (time.Duration, error) {
	raw, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", d.cmd.Process.Pid))
	if err != nil {
		return 0, err
	}
	var user, system int64
	// The fields after the command's name, which may have blanks: the state is the
	// first, and the times are the 12th and the 13th, in hundredths of a second.
	fields := strings.Fields(string(raw[bytes.LastIndexByte(raw, ')')+1:]))
	if len(fields) > 12 {
		user, err = strconv.ParseInt(fields[11], 10, 64)
	}
	if err == nil && len(fields) > 12 {
		system, err = strconv.ParseInt(fields[12], 10, 64)
	}
	return time.Duration(user+system) * 10 * time.Millisecond, err
}

// starts reports how long the endpoint takes to start with all machines.
func (d *durable) starts(ctx context.Context) error {
	var took, used series
	for range d.b.runs {
		if err := d.stop(); err != nil {
			return err
		}
		began := time.Now()
		if err := d.start(ctx); err != nil {
			return err
		}
		if err := d.c.Get(ctx, "machines/Name:m1", nil); err != nil {
			return err
		}
		took = append(took, time.Since(began).Seconds())
		cpu, err := d.cpu()
		if err != nil {
			return err
		}
		used = append(used, cpu.Seconds())
	}
	report("store/start", "s", took, nil)
	report("store/start/cpu", "s", used, nil)
	return nil
}

// patches reports how many durable changes there are in a second.
func (d *durable) patches(ctx context.Context) error {
	var rate, used series
	for range d.b.runs {
		before, err := d.cpu()
		if err != nil {
			return err
		}
		n, took, err := d.patchUntil(ctx, time.After(patchFor))
		if err != nil {
			return err
		}
		after, err := d.cpu()
		if err != nil {
			return err
		}
		rate = append(rate, float64(n)/took.Seconds())
		used = append(used, float64((after-before).Microseconds())/1000/float64(n))
	}
	report("store/patch-64-writers", "1/s", rate, nil)
	report("store/patch-64-writers/cpu", "ms", used, nil)
	return nil
}

// patchUntil changes machines, each writer its own ones, until the end.
func (d *durable) patchUntil(ctx context.Context, end <-chan time.Time) (int, time.Duration, error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var done atomic.Int64
	var writers sync.WaitGroup
	began := time.Now()
	over := make(chan struct{})
	for w := range storeWriters {
		writers.Go(func() {
			for i := w; ctx.Err() == nil; i += storeWriters {
				select {
				case <-over:
					return
				default:
				}
				patch := []map[string]any{{"op": "add", "path": "/Params/seen", "value": i}}
				if err := d.c.Patch(ctx, "machines/Name:m"+strconv.Itoa(i%d.b.machines), patch, nil); err != nil {
					cancel(err)
				}
				done.Add(1)
			}
		})
	}
	select {
	case <-end:
	case <-ctx.Done():
	}
	close(over)
	writers.Wait()
	return int(done.Load()), time.Since(began), context.Cause(ctx)
}

// snapshots reports how long a snapshot takes while all writers change machines.
func (d *durable) snapshots(ctx context.Context) error {
	var took, rate series
	for range d.b.runs {
		end := make(chan time.Time)
		var err error
		began := time.Now()
		go func() { // ends with the download
			defer close(end)
			err = d.c.Download(ctx, "backup", io.Discard)
			took = append(took, time.Since(began).Seconds())
		}()
		n, lasted, patchErr := d.patchUntil(ctx, end)
		if err := errors.Join(err, patchErr); err != nil {
			return err
		}
		rate = append(rate, float64(n)/lasted.Seconds())
	}
	report("store/snapshot-under-load", "s", took, nil)
	report("store/patch-64-writers/snapshot", "1/s", rate, nil)
	return nil
}
