package store

import (
	"context"
	"encoding/json"
	"strconv"
	"sync"

	"github.com/google/uuid"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

const (
	// groupFrom is how many writes are worth a group, and groupFromDisk where the
	// engine gathers one on the disk, which costs as much as many writes one by one.
	groupFrom     = 4
	groupFromDisk = 24
	// maxGroup and maxGroupBytes bound one; the engine takes 1,000 messages.
	maxGroup      = 500
	maxGroupBytes = 4 << 20

	// The headers of the engine's atomic batches.
	batchIDHeader     = "Nats-Batch-Id"
	batchSeqHeader    = "Nats-Batch-Sequence"
	batchCommitHeader = "Nats-Batch-Commit"
)

// group writes what comes at once together: one sync to the disk is then enough
// for all of it. While one group is on its way the next one gathers, so that a
// write by itself does not wait.
type group struct {
	store *Store

	mu      sync.Mutex // guards all below
	waiting []*member
	writing bool // somebody takes what waits, until nothing does
}

// member is one write of a group. Done is closed when it has been written, or
// not: then seq and err are what put answers.
type member struct {
	write
	done chan struct{}
	seq  uint64
	err  error
}

// put is Store.put, with whatever else is written at the time. No two writes of
// one subject may be under way.
func (g *group) put(w write) (uint64, error) {
	mine := &member{write: w, done: make(chan struct{})}
	g.mu.Lock()
	g.waiting = append(g.waiting, mine)
	first := !g.writing
	g.writing = true
	g.mu.Unlock()
	if first {
		go g.run()
	}
	<-mine.done
	return mine.seq, mine.err
}

// run writes until nothing waits. Every write is bounded, and so is this.
func (g *group) run() {
	for {
		members := g.take()
		if len(members) == 0 {
			return
		}
		if len(members) < g.worth() || !g.together(members) {
			g.apart(members)
		}
	}
}

// worth is how many writes are worth a group.
func (g *group) worth() int {
	if g.store.engine().stage == nil {
		return groupFromDisk
	}
	return groupFrom
}

// take takes the next group, nothing if nothing waits.
func (g *group) take() []*member {
	g.mu.Lock()
	defer g.mu.Unlock()
	n, size := 0, 0
	for n < len(g.waiting) && n < maxGroup && (n == 0 || size+len(g.waiting[n].data) <= maxGroupBytes) {
		size += len(g.waiting[n].data)
		n++
	}
	members := g.waiting[:n:n]
	g.waiting = g.waiting[n:]
	g.writing = n > 0
	return members
}

// apart carries each write out by itself.
func (g *group) apart(members []*member) {
	var puts sync.WaitGroup
	for _, m := range members {
		puts.Go(func() {
			m.seq, m.err = g.store.putOne(context.Background(), m.write)
			close(m.done)
		})
	}
	puts.Wait()
}

// together carries the writes out as one batch of the engine's: all, or none if
// one of them has lost its compare-and-set. It reports whether they are settled.
func (g *group) together(members []*member) bool {
	ctx, cancel := g.store.bounded(context.Background())
	defer cancel()
	ack, err := g.publish(ctx, members)
	switch {
	case err != nil: // the batch may be there, or not
		g.resolve(ctx, members, err)
	case ack.Error != nil || ack.BatchSize != len(members):
		return false // nothing was written
	default:
		g.store.dog.wrote()
		for i, m := range members {
			m.seq = ack.Sequence - uint64(len(members)-1-i)
		}
	}
	for _, m := range members {
		close(m.done)
	}
	return true
}

// resolve finds out of each write of a batch whether it is there.
func (g *group) resolve(ctx context.Context, members []*member, cause error) {
	g.store.dog.ill(cause.Error())
	for _, m := range members {
		m.seq, m.err = g.store.resolve(ctx, m.write, cause)
	}
}

// batchAck is what the engine answers to a batch.
type batchAck struct {
	Error     *jetstream.APIError `json:"error"`
	Sequence  uint64              `json:"seq"`   // of the last message
	BatchSize int                 `json:"count"` // how many messages it had
}

// publish sends a batch and returns the answer to its last message.
func (g *group) publish(ctx context.Context, members []*member) (*batchAck, error) {
	id, conn := uuid.NewString(), g.store.engine().conn
	for i, m := range members {
		msg := &nats.Msg{Subject: m.subject, Data: m.data, Header: m.header()}
		msg.Header[batchIDHeader] = []string{id}
		msg.Header[batchSeqHeader] = []string{strconv.Itoa(i + 1)}
		msg.Header[jetstream.ExpectedLastSubjSeqHeader] = []string{strconv.FormatUint(m.expect, 10)}
		if i < len(members)-1 {
			if err := conn.PublishMsg(msg); err != nil {
				return nil, err
			}
			continue
		}
		msg.Header.Set(batchCommitHeader, "1")
		reply, err := conn.RequestMsgWithContext(ctx, msg)
		if err != nil {
			return nil, err
		}
		ack := &batchAck{}
		return ack, json.Unmarshal(reply.Data, ack)
	}
	return nil, nil
}
