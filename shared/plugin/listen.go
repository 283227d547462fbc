package plugin

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/signal"
	"sync"
	"syscall"
	"time"

	"github.com/spf13/cobra"
)

// timing holds the durations and bounds of a plugin's life.
type timing struct {
	actionGrace time.Duration // how long actions go on after stop where nothing else tells
	stopGrace   time.Duration // bounds Stopper.Stop
	drainLimit  time.Duration // from stop to the last reply
	flushLimit  time.Duration // bounds the writing of the last replies
	logLimit    time.Duration // bounds the sending of the last log lines
	orphanGrace time.Duration // bounds Orphaner.Orphaned
	parentPoll  time.Duration // how often a host without lifeline is looked after
	parentGone  time.Duration // how long its socket is refused before it is dead
	maxActions  int

	stream        streamTiming
	validateLimit time.Duration // bounds Validate; a host waits 10 s for define
}

// defaultTiming makes a plugin end within 15 s of stop, and within 5 s of its
// host's death.
func defaultTiming() timing {
	return timing{
		actionGrace: 10 * time.Second,
		stopGrace:   13500 * time.Millisecond,
		drainLimit:  14 * time.Second,
		flushLimit:  400 * time.Millisecond,
		logLimit:    400 * time.Millisecond,
		orphanGrace: 4 * time.Second,
		parentPoll:  time.Second,
		parentGone:  10 * time.Second,
		maxActions:  defaultMaxActions,

		stream:        defaultStreamTiming(),
		validateLimit: 9 * time.Second,
	}
}

// newListenCommand serves the plugin.
func (p *program) newListenCommand() *cobra.Command {
	return &cobra.Command{
		Use:          "listen TO-PLUGIN FROM-PLUGIN",
		Short:        "Serve the plugin on one unix socket, speaking to the host on another",
		SilenceUsage: true,
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) != 2 {
				fmt.Fprintln(cmd.OutOrStdout(), "Failed")
				return errors.New("cannot listen: listen requires 2 arguments, the socket to the plugin and the socket from it")
			}
			return p.listen(cmd.Context(), cmd.OutOrStdout(), args[0], args[1])
		},
	}
}

// listen serves until the plugin is stopped, by its host, a signal, the end of
// ctx, or the death of its host.
func (p *program) listen(ctx context.Context, stdout io.Writer, to, from string) error {
	lifeline, err := openLifeline(os.Getenv(EnvLifeline))
	if err != nil {
		return fmt.Errorf("cannot listen: %w", err)
	}
	key, err := readKey(os.Getenv(EnvPrincipalKey))
	if err != nil {
		return fmt.Errorf("cannot listen: %w", err)
	}
	defer ignoreBrokenPipes()()
	ctx, unregister := signal.NotifyContext(ctx, syscall.SIGTERM, os.Interrupt)
	defer unregister()
	out := newOutbound(from)
	defer out.close()
	queueCtx, endQueue := context.WithCancel(context.WithoutCancel(ctx))
	queue := newLogQueue(queueCtx, p.def.Name, out.log)
	defer func() {
		bounded, cancel := context.WithTimeout(context.WithoutCancel(ctx), p.timing.logLimit)
		queue.close(bounded)
		cancel()
		endQueue()
		<-queue.done
	}()
	lines := newLineHandler(queue, p.def.Name)
	lines.level = p.level
	s := newServer(p, lines, key)
	p.introduce(s.logger, out)
	socket, err := listenPrivate(to)
	if err != nil {
		return fmt.Errorf("cannot listen: %w", err)
	}
	if _, err := fmt.Fprintln(stdout, readyLine); err != nil {
		socket.Close()
		return fmt.Errorf("cannot say %s: %w", readyLine, err)
	}
	return s.serve(ctx, socket, &hostWatch{lifeline: lifeline, out: out, now: p.parent, parent: os.Getppid(), timing: p.timing})
}

// introduce gives the implementation its logger and its way to the host.
func (p *program) introduce(l *slog.Logger, out *Outbound) {
	if impl, ok := p.impl.(Logged); ok {
		impl.SetLogger(l)
	}
	if impl, ok := p.impl.(Hosted); ok {
		impl.SetHost(out)
	}
}

// ignoreBrokenPipes keeps a write to the output of a dead host from ending the
// process: it may still owe a machine something. The write fails instead.
func ignoreBrokenPipes() (restore func()) {
	c := make(chan os.Signal, 1)
	signal.Notify(c, syscall.SIGPIPE)
	return func() { signal.Stop(c) }
}

// listenPrivate listens on a unix socket that only this user may open. What an
// earlier process left there is removed, if it is a socket.
func listenPrivate(path string) (net.Listener, error) {
	if len(path) > maxSocketPath {
		return nil, fmt.Errorf("the path %s is longer than the %d bytes a unix socket may have", path, maxSocketPath)
	}
	if info, err := os.Lstat(path); err == nil && info.Mode()&os.ModeSocket != 0 {
		if err := os.Remove(path); err != nil {
			return nil, fmt.Errorf("the old socket is in the way: %w", err)
		}
	}
	// A mask instead of a later chmod, so that the socket is private at once.
	maskOfFiles.Lock()
	defer maskOfFiles.Unlock()
	old := syscall.Umask(0o177)
	defer syscall.Umask(old)
	return net.Listen("unix", path)
}

// maskOfFiles guards the process's umask, of which there is one: two who change
// it at once would leave the stricter one behind for good.
var maskOfFiles sync.Mutex

// httpServer serves s. There is no read, write or idle timeout, only one for the
// head of a request that has begun: a host that finds its resting connection
// closed would take that for a lost request.
func (s *server) httpServer() *http.Server {
	return &http.Server{
		Handler:           s,
		ReadHeaderTimeout: headerTimeout,
		MaxHeaderBytes:    maxHeader,
		ErrorLog:          slog.NewLogLogger(s.lines, slog.LevelWarn),
	}
}
