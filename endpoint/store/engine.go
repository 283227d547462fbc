package store

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

const (
	bucketName    = "KV_objects" // by its name and layout a bucket that any NATS client can open
	bucketSubject = "$KV.objects."
	recordsName   = "ACTIONS"
	recordSubject = "act."
	// recordsPerObject bounds the records of one object; the runs are swept
	// long before it is reached.
	recordsPerObject = 120

	// maxPayload is the largest message the engine takes without complaint.
	maxPayload = 8 << 20
	// MaxValue is the largest value of an object and the largest run record.
	MaxValue = maxPayload - 64<<10

	startTimeout   = 30 * time.Second
	connectTimeout = 5 * time.Second
	reconnectWait  = 20 * time.Millisecond
)

// startEngine starts JetStream in this process and connects to it. There is no
// port, and every write is synced before it is acknowledged: neither is an
// option, since nothing here is safe otherwise.
func (s *Store) startEngine(o Options) error {
	srv, err := server.NewServer(&server.Options{
		ServerName:             "oob",
		DontListen:             true,
		NoSigs:                 true,
		JetStream:              true,
		StoreDir:               o.Dir,
		SyncAlways:             true,
		JetStreamMaxMemory:     1 << 20, // nothing is kept in the engine's memory
		JetStreamMaxStore:      o.MaxBytes,
		DisableJetStreamBanner: true,
		MaxPayload:             maxPayload,
	})
	if err != nil {
		return err
	}
	s.srv = srv
	srv.SetLogger(engineLog{s.log.With("component", "store")}, false, false)
	srv.Start()
	if !srv.ReadyForConnections(startTimeout) || !srv.JetStreamEnabled() {
		return fmt.Errorf("the storage engine did not start; see the log")
	}
	s.conn, err = nats.Connect("", nats.InProcessServer(srv),
		nats.Timeout(connectTimeout),
		nats.MaxReconnects(-1), nats.ReconnectWait(reconnectWait),
		nats.ErrorHandler(func(_ *nats.Conn, _ *nats.Subscription, err error) {
			s.log.Warn("store connection", "err", err)
		}))
	if err != nil {
		return fmt.Errorf("cannot connect to the storage engine: %w", err)
	}
	s.js, err = jetstream.New(s.conn)
	return err
}

// openStreams makes or opens the two streams. AllowDirect stays off: a decision
// is taken on what the stream's leader says.
func (s *Store) openStreams(ctx context.Context) error {
	var err error
	s.objects, err = s.js.CreateOrUpdateStream(ctx, jetstream.StreamConfig{
		Name:              bucketName,
		Subjects:          []string{bucketSubject + ">"},
		Storage:           jetstream.FileStorage,
		Replicas:          1,
		MaxMsgsPerSubject: 1,
		Discard:           jetstream.DiscardNew,
		AllowRollup:       true,
	})
	if err != nil {
		return fmt.Errorf("objects: %w", err)
	}
	s.records, err = s.js.CreateOrUpdateStream(ctx, jetstream.StreamConfig{
		Name:              recordsName,
		Subjects:          []string{recordSubject + ">"},
		Storage:           jetstream.FileStorage,
		Replicas:          1,
		MaxMsgsPerSubject: recordsPerObject,
		Discard:           jetstream.DiscardOld,
	})
	if err != nil {
		return fmt.Errorf("run records: %w", err)
	}
	return nil
}

// engineLog passes the engine's log on. What the engine calls a notice is a
// line about its own start, of use only in debugging.
type engineLog struct{ log *slog.Logger }

func (l engineLog) Noticef(format string, v ...any) { l.log.Debug(fmt.Sprintf(format, v...)) }
func (l engineLog) Warnf(format string, v ...any)   { l.log.Warn(fmt.Sprintf(format, v...)) }
func (l engineLog) Fatalf(format string, v ...any)  { l.log.Error(fmt.Sprintf(format, v...)) }
func (l engineLog) Errorf(format string, v ...any)  { l.log.Error(fmt.Sprintf(format, v...)) }
func (l engineLog) Debugf(format string, v ...any)  { l.log.Debug(fmt.Sprintf(format, v...)) }
func (l engineLog) Tracef(format string, v ...any)  { l.log.Debug(fmt.Sprintf(format, v...)) }
