package store

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
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
	log := &engineLog{log: s.log.With("component", "store")}
	srv.SetLogger(log, false, false)
	srv.Start() // returns when everything is up, or has failed
	if log.fatal != nil || !srv.JetStreamEnabled() {
		return fmt.Errorf("the storage engine did not start: %w", log.fatal)
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

// openStreams makes or opens the streams. AllowDirect stays off: a decision
// is taken on what the stream's leader says.
func (s *Store) openStreams(ctx context.Context, found map[string]bool) error {
	var err error
	s.objects, err = s.openStream(ctx, found, jetstream.StreamConfig{
		Name:              bucketName,
		Subjects:          []string{bucketSubject + ">"},
		Storage:           jetstream.FileStorage,
		Replicas:          1,
		MaxMsgsPerSubject: 1,
		Discard:           jetstream.DiscardNew,
		AllowRollup:       true,
	})
	if err != nil {
		return err
	}
	s.records, err = s.openStream(ctx, found, jetstream.StreamConfig{
		Name:               recordsName,
		Subjects:           []string{recordSubject + ">"},
		AllowAtomicPublish: true,
		Storage:            jetstream.FileStorage,
		Replicas:           1,
		MaxMsgsPerSubject:  recordsPerObject,
		Discard:            jetstream.DiscardOld,
	})
	if err != nil {
		return err
	}
	return s.openAudit(ctx, found)
}

// streamsOnDisk tells which streams have a folder in the data directory.
func streamsOnDisk(dir string) map[string]bool {
	found := map[string]bool{}
	for _, name := range []string{bucketName, recordsName, auditName} {
		_, err := os.Stat(streamDir(dir, name))
		found[name] = err == nil
	}
	return found
}

// streamDir is where the engine keeps a stream.
func streamDir(dir, name string) string {
	return filepath.Join(dir, server.JetStreamStoreDir, "$G", "streams", name)
}

// openStream makes or opens a stream. The engine passes over one that it cannot
// read; making it anew would then lose what it held.
func (s *Store) openStream(ctx context.Context, found map[string]bool, cfg jetstream.StreamConfig) (jetstream.Stream, error) {
	if _, err := s.js.Stream(ctx, cfg.Name); found[cfg.Name] && errors.Is(err, jetstream.ErrStreamNotFound) {
		return nil, fmt.Errorf("stream %s is damaged; see the log, and restore a backup", cfg.Name)
	}
	stream, err := s.js.CreateOrUpdateStream(ctx, cfg)
	if err != nil {
		return nil, fmt.Errorf("stream %s: %w", cfg.Name, err)
	}
	return stream, nil
}

// engineLog passes the engine's log on. What the engine calls a notice is a
// line about its own start, of use only in debugging.
type engineLog struct {
	log   *slog.Logger
	fatal error // why the engine did not start; set during Start only
}

// Noticef logs what the engine does as it starts and stops.
func (l *engineLog) Noticef(format string, v ...any) { l.log.Debug(fmt.Sprintf(format, v...)) }

// Warnf logs a warning.
func (l *engineLog) Warnf(format string, v ...any) { l.log.Warn(fmt.Sprintf(format, v...)) }

// Fatalf logs and keeps why the engine cannot start. It does not end the process.
func (l *engineLog) Fatalf(format string, v ...any) {
	l.fatal = fmt.Errorf(format, v...)
	l.log.Error(l.fatal.Error())
}

// Errorf logs an error.
func (l *engineLog) Errorf(format string, v ...any) { l.log.Error(fmt.Sprintf(format, v...)) }

// Debugf logs a detail.
func (l *engineLog) Debugf(format string, v ...any) { l.log.Debug(fmt.Sprintf(format, v...)) }

// Tracef logs a message of the protocol.
func (l *engineLog) Tracef(format string, v ...any) { l.log.Debug(fmt.Sprintf(format, v...)) }
