package store

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
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

// streamID names one of the streams.
type streamID int

const (
	objectsStream streamID = iota // the bucket
	recordsStream                 // ACTIONS
	auditStream                   // AUDIT
	streamCount
)

// streamNames are what the engine calls them.
var streamNames = [streamCount]string{bucketName, recordsName, auditName}

// engine is JetStream in this process. A store has one at a time; another takes
// its place when it cannot go on.
type engine struct {
	srv     *server.Server
	conn    *nats.Conn
	js      jetstream.JetStream
	streams [streamCount]jetstream.Stream
	stage   *stage // nil: batches are gathered on the disk
	dir     string
}

// startEngine starts JetStream in this process and connects to it. There is no
// port, and every write is synced before it is acknowledged: neither is an
// option, since nothing here is safe otherwise. What was started before an error
// is in the engine, to be stopped.
func startEngine(o Options, ill func(why string)) (*engine, error) {
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
		return nil, err
	}
	e := &engine{srv: srv, dir: o.Dir}
	log := &engineLog{log: o.Logger.With("component", "store"), ill: ill}
	srv.SetLogger(log, false, false)
	srv.Start() // returns when everything is up, or has failed
	if log.fatal != nil || !srv.JetStreamEnabled() {
		return e, fmt.Errorf("the storage engine did not start: %w", log.fatal)
	}
	e.conn, err = nats.Connect("", nats.InProcessServer(srv),
		nats.Timeout(connectTimeout),
		nats.MaxReconnects(-1), nats.ReconnectWait(reconnectWait),
		nats.ErrorHandler(func(_ *nats.Conn, _ *nats.Subscription, err error) {
			o.Logger.Warn("store connection", "err", err)
		}))
	if err != nil {
		return e, fmt.Errorf("cannot connect to the storage engine: %w", err)
	}
	e.js, err = jetstream.New(e.conn)
	return e, err
}

// openStreams makes or opens the streams. AllowDirect stays off: a decision
// is taken on what the stream's leader says.
func (e *engine) openStreams(ctx context.Context, found map[string]bool) error {
	configs := [streamCount]jetstream.StreamConfig{
		objectsStream: {
			Subjects:           []string{bucketSubject + ">"},
			MaxMsgsPerSubject:  1,
			Discard:            jetstream.DiscardNew,
			AllowRollup:        true,
			AllowAtomicPublish: true,
		},
		recordsStream: {
			Subjects:           []string{recordSubject + ">"},
			AllowAtomicPublish: true,
			MaxMsgsPerSubject:  recordsPerObject,
			Discard:            jetstream.DiscardOld,
		},
		auditStream: e.auditConfig(),
	}
	for id, cfg := range configs {
		cfg.Name, cfg.Storage, cfg.Replicas = streamNames[id], jetstream.FileStorage, 1
		stream, err := e.openStream(ctx, found, cfg)
		if err != nil {
			return err
		}
		e.streams[id] = stream
	}
	return nil
}

// openStage has batches gathered in memory, as far as that can be, and removes what
// processes that were killed have left there, whatever became of their data.
func (e *engine) openStage(log *slog.Logger) {
	for _, dir := range stagesIn(memoryDir) {
		if err := removeLeft(dir); err != nil {
			log.Debug("cannot remove what a process before has left", "err", err)
		}
	}
	var err error
	if e.stage, err = newStage(e.dir, memoryDir, diskSpace); err != nil {
		log.Warn("cannot gather writes in memory: many at once are slower", "err", err)
	}
}

// stop shuts the engine down, as far as it was started, and waits for it.
func (e *engine) stop() error {
	if e == nil {
		return nil
	}
	if e.conn != nil {
		e.conn.Close()
	}
	return errors.Join(stopServer(e.srv), e.stage.remove(e.dir))
}

// engine is the engine of the moment.
func (s *Store) engine() *engine { return s.running.Load() }

// stream is a stream of the engine of the moment.
func (s *Store) stream(id streamID) jetstream.Stream { return s.engine().streams[id] }

// streamsOnDisk tells which streams have a folder in the data directory.
func streamsOnDisk(dir string) map[string]bool {
	found := map[string]bool{}
	for _, name := range streamNames {
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
func (e *engine) openStream(ctx context.Context, found map[string]bool, cfg jetstream.StreamConfig) (jetstream.Stream, error) {
	if _, err := e.js.Stream(ctx, cfg.Name); found[cfg.Name] && errors.Is(err, jetstream.ErrStreamNotFound) {
		return nil, fmt.Errorf("stream %s is damaged; see the log, and restore a backup", cfg.Name)
	}
	stream, err := e.js.CreateOrUpdateStream(ctx, cfg)
	if err != nil {
		return nil, fmt.Errorf("stream %s: %w", cfg.Name, err)
	}
	return stream, nil
}

// engineLog passes the engine's log on. What the engine calls a notice is a
// line about its own start, of use only in debugging.
type engineLog struct {
	log   *slog.Logger
	ill   func(why string) // told that the engine has stopped to write
	fatal error            // why the engine did not start; set during Start only
}

// illSigns are in the lines by which the engine tells that it has stopped to
// write: after the first failed write it takes no other and answers nothing, and
// stays so until it is started again.
var illSigns = [...]string{"Critical write error", "JetStream failed to store a msg", "disabling JetStream", "JetStream out of "}

// watch tells if a line says that the engine has stopped to write.
func (l *engineLog) watch(line string) {
	for _, sign := range illSigns {
		if strings.Contains(line, sign) {
			l.ill(line[strings.LastIndex(line, ": ")+1:])
			return
		}
	}
}

// Noticef logs what the engine does as it starts and stops.
func (l *engineLog) Noticef(format string, v ...any) { l.log.Debug(fmt.Sprintf(format, v...)) }

// Warnf logs a warning.
func (l *engineLog) Warnf(format string, v ...any) {
	line := fmt.Sprintf(format, v...)
	l.log.Warn(line)
	l.watch(line)
}

// Fatalf logs and keeps why the engine cannot start. It does not end the process.
func (l *engineLog) Fatalf(format string, v ...any) {
	l.fatal = fmt.Errorf(format, v...)
	l.log.Error(l.fatal.Error())
}

// Errorf logs an error.
func (l *engineLog) Errorf(format string, v ...any) {
	line := fmt.Sprintf(format, v...)
	l.log.Error(line)
	l.watch(line)
}

// Debugf logs a detail.
func (l *engineLog) Debugf(format string, v ...any) { l.log.Debug(fmt.Sprintf(format, v...)) }

// Tracef logs a message of the protocol.
func (l *engineLog) Tracef(format string, v ...any) { l.log.Debug(fmt.Sprintf(format, v...)) }
