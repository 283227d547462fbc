package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"provision-plugins/shared/model"
	"provision-plugins/shared/plugin"
	simslack "provision-plugins/sim/slack"
)

const (
	slackToken = "xoxb-bench"
	// slackOne and slackMany are events that are handed over one by one and by many
	// at once; slackQueue is how many wait for a Slack that is down.
	slackOne     = 1000
	slackMany    = 20_000
	slackQueue   = 100_000
	slackCallers = 64
)

// slackEvents hands numbered events of machines that came to a plugin, from many
// callers at once.
func slackEvents(ctx context.Context, p *plugin.Process, count, callers int, took func(time.Duration)) error {
	var next atomic.Int64
	var all sync.WaitGroup
	faults := make([]error, callers)
	for c := range callers {
		all.Go(func() {
			for faults[c] == nil {
				i := next.Add(1)
				if i > int64(count) {
					return
				}
				name := fmt.Sprintf("rack%05d", i)
				began := time.Now()
				faults[c] = p.Publish(ctx, &model.Event{Time: began, Type: "machines", Action: "create", Key: name, Object: model.NewMachine(name)})
				if took != nil {
					took(time.Since(began))
				}
			}
		})
	}
	all.Wait()
	return errors.Join(faults...)
}

// slack measures how long an event takes to be durable in the slack plugin's
// outbox, how many a second it takes and posts, and what those that wait cost.
func (b *bench) slack(ctx context.Context) error {
	return errors.Join(b.slackPublish(ctx), b.slackWaiting(ctx))
}

// slackPlugin starts the plugin for a simulated workspace.
func (b *bench) slackPlugin(ctx context.Context) (*plugin.Process, *simslack.Server, error) {
	sim, err := simslack.New(simslack.Options{Token: slackToken})
	if err != nil {
		return nil, nil, err
	}
	p, err := b.launch(ctx, "slack", model.Params{
		"Name": "slack", "slack/bot-token": slackToken, "slack/api-url": sim.URL(), "slack/default-channel": "C1", "slack/messages-per-minute": 1000,
	})
	if err != nil {
		return nil, nil, errors.Join(err, sim.Close())
	}
	return p, sim, nil
}

// slackPublish measures Publish with a Slack that answers.
func (b *bench) slackPublish(ctx context.Context) (err error) {
	p, sim, err := b.slackPlugin(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, p.Stop(ctx), sim.Close()) }()
	var medians, tails, rates series
	for range b.runs {
		var times series
		if err := slackEvents(ctx, p, slackOne, 1, func(d time.Duration) { times = append(times, d.Seconds()*1000) }); err != nil {
			return err
		}
		slices.Sort(times)
		medians, tails = append(medians, times.median()), append(tails, times[len(times)*99/100])
		began := time.Now()
		if err := slackEvents(ctx, p, slackMany, slackCallers, nil); err != nil {
			return err
		}
		rates = append(rates, slackMany/time.Since(began).Seconds())
	}
	report("slack/publish/p50", "ms", medians, nil)
	report("slack/publish/p99", "ms", tails, nil)
	report("slack/publish/rate-64", "/s", rates, nil)
	lines := 0
	for _, m := range sim.Messages() {
		lines += strings.Count(m.Text, "\n") + 1
	}
	report("slack/lines-a-message", "lines", series{float64(lines) / float64(max(len(sim.Messages()), 1))}, nil)
	return nil
}

// slackWaiting measures the memory of the plugin while much waits for a Slack that
// is down.
func (b *bench) slackWaiting(ctx context.Context) (err error) {
	p, sim, err := b.slackPlugin(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, p.Stop(ctx), sim.Close()) }()
	if err := sim.Down(); err != nil {
		return err
	}
	before, err := residentMiB(p.Pid())
	if err != nil {
		return err
	}
	if err := slackEvents(ctx, p, slackQueue, slackCallers, nil); err != nil {
		return err
	}
	if err := pause(ctx, 5*time.Second); err != nil { // the runtime gives back what it does not need
		return err
	}
	after, err := residentMiB(p.Pid())
	if err != nil {
		return err
	}
	report("slack/idle/rss", "MiB", series{before}, nil)
	report("slack/queued-100000/rss", "MiB", series{after}, nil)
	return nil
}
