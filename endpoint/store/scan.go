package store

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go/jetstream"
)

const (
	// scanBatch is how many messages are on their way at a time.
	scanBatch = 1000
	// scanPatience is how long a scan waits for a message that was pending
	// before it asks whether it still is.
	scanPatience = time.Second
)

// visit is called with a message of a scan and its sequence.
type visit func(msg jetstream.Msg, meta *jetstream.MsgMetadata) error

// scan calls fn with every message now in the stream under a filter, in
// sequence order. All are taken through one iterator: an ordered consumer that
// is fetched from in several batches begins again under other rules.
func (s *Store) scan(ctx context.Context, id streamID, filter string, fn visit) error {
	if err := s.usable(ctx); err != nil {
		return err
	}
	stream := s.stream(id)
	cons, err := stream.OrderedConsumer(ctx, jetstream.OrderedConsumerConfig{
		FilterSubjects: []string{filter},
		DeliverPolicy:  jetstream.DeliverAllPolicy,
	})
	if err != nil {
		return fmt.Errorf("cannot scan the store: %w", err)
	}
	defer s.dropConsumer(ctx, stream, cons)
	if cons.CachedInfo().NumPending == 0 {
		return nil
	}
	messages, err := cons.Messages(jetstream.PullMaxMessages(scanBatch))
	if err != nil {
		return fmt.Errorf("cannot scan the store: %w", err)
	}
	defer messages.Stop()
	return drain(ctx, cons, messages, fn)
}

// dropConsumer removes a consumer that is done with. The engine would do so
// itself after some minutes.
func (s *Store) dropConsumer(ctx context.Context, stream jetstream.Stream, cons jetstream.Consumer) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), readTimeout)
	defer cancel()
	err := stream.DeleteConsumer(ctx, cons.CachedInfo().Name)
	if err != nil && !errors.Is(err, jetstream.ErrConsumerNotFound) {
		s.log.Debug("cannot remove a consumer", "err", err)
	}
}

// drain reads an iterator until the stream has no more.
func drain(ctx context.Context, cons jetstream.Consumer, messages jetstream.MessagesContext, fn visit) error {
	for {
		msg, err := messages.Next(jetstream.NextMaxWait(scanPatience))
		if errors.Is(err, jetstream.ErrMsgIteratorClosed) || ctx.Err() != nil {
			return fmt.Errorf("cannot scan the store: %w", errors.Join(err, ctx.Err()))
		}
		if err != nil {
			// What was pending may have been deleted in the meantime.
			info, infoErr := cons.Info(ctx)
			if infoErr != nil {
				return fmt.Errorf("cannot scan the store: %w", errors.Join(err, infoErr))
			}
			if info.NumPending == 0 && info.NumAckPending == 0 {
				return nil
			}
			continue
		}
		meta, err := msg.Metadata()
		if err != nil {
			return fmt.Errorf("cannot scan the store: %w", err)
		}
		if err := fn(msg, meta); err != nil {
			return err
		}
		if meta.NumPending == 0 {
			return nil
		}
	}
}
