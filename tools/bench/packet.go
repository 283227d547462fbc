package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"sync"
	"time"

	"github.com/packethost/packngo"

	"provision-plugins/shared/model"
	"provision-plugins/shared/plugin"
	"provision-plugins/sim/packet"
)

// packetFleet is how many devices are asked, of an API that takes packetLatency for
// each answer.
const (
	packetFleet   = 500
	packetLatency = 20 * time.Millisecond
)

// packetStates measures the power status of all devices of an account, asked at once
// through the plugin, and one after the other by packngo as it is; and how many
// connections the API sees.
func (b *bench) packetStates(ctx context.Context) (err error) {
	sim, err := packet.New(packet.Options{Latency: packetLatency})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, sim.Close()) }()
	ids := sim.Add("default", packetFleet, packet.Device{})
	p, err := b.launch(ctx, "packet-ipmi", model.Params{
		"Name": "packet-ipmi", "packet/api-url": sim.URL(), "packet/api-key": password, "packet/request-rate": 10_000,
	})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, p.Stop(ctx)) }()
	var ours, theirs, conns, theirConns series
	opened := 0
	for range b.runs {
		before := sim.Connections()
		start := time.Now()
		if err := throughPlugin(ctx, p, ids); err != nil {
			return err
		}
		ours = append(ours, time.Since(start).Seconds())
		opened += sim.Connections() - before
		conns = append(conns, float64(opened)) // of all runs so far: they stay open
		before, start = sim.Connections(), time.Now()
		if err := packngoLoop(sim.URL(), ids); err != nil {
			return err
		}
		theirs = append(theirs, time.Since(start).Seconds())
		theirConns = append(theirConns, float64(sim.Connections()-before))
	}
	name := fmt.Sprintf("packet/status-%d", packetFleet)
	report(name+"/wall", "s", ours, &peer{"packngo", theirs})
	report(name+"/connections", "", conns, &peer{"packngo", theirConns})
	return nil
}

// throughPlugin asks the plugin for the state of all devices at once.
func throughPlugin(ctx context.Context, p *plugin.Process, ids []string) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var all sync.WaitGroup
	for _, id := range ids {
		all.Go(func() {
			mc := model.NewMachine(id)
			mc.Uuid, mc.Params["packet/uuid"] = id, id
			if _, err := p.Action(ctx, &model.Action{Model: mc, Command: model.PowerStatus, Params: model.Params{"oob/timeout": 60}}); err != nil {
				cancel(err)
			}
		})
	}
	all.Wait()
	return context.Cause(ctx)
}

// packngoLoop asks for the state of all devices as a plain program does.
func packngoLoop(url string, ids []string) error {
	c, err := packngo.NewClient(packngo.WithAuth("bench", password), packngo.WithHTTPClient(&http.Client{Timeout: time.Minute}), packngo.WithBaseURL(url))
	if err != nil {
		return err
	}
	for _, id := range ids {
		d, _, err := c.Devices.Get(id, nil)
		if err != nil {
			return err
		}
		if d.State != packet.Active {
			return fmt.Errorf("device %s is %s", id, d.State)
		}
	}
	return nil
}
