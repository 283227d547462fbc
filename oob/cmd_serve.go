package main

import (
	"cmp"
	"context"
	"crypto/tls"
	"fmt"
	"log/slog"
	"net"
	"path/filepath"
	"strconv"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"provision-plugins/endpoint"
	"provision-plugins/endpoint/certificate"
	"provision-plugins/endpoint/loglevel"
	"provision-plugins/shared/garbage"
	"provision-plugins/shared/model"
	"provision-plugins/shared/plugin/sandbox"
)

// serveOptions are the flags of "serve".
type serveOptions struct {
	dataDir, pluginDir string
	listen             string
	log                int
	logFormat          string
	backupDir          string
	backupKeep         int
	tlsCert, tlsKey    string
	plugins            pluginOptions
}

// pluginOptions are the flags that say which plugins are run, and what they may
// reach.
type pluginOptions struct {
	env, paths []string
	sums       string
	upload     bool
	noSandbox  bool
}

// bind puts the flags into a set.
func (p *pluginOptions) bind(fs *pflag.FlagSet) {
	fs.StringSliceVar(&p.env, "plugin-env", nil, "`NAME`s of variables of the environment that plugins get beside their own, such as HTTPS_PROXY")
	fs.StringSliceVar(&p.paths, "plugin-path", nil, "`DIR`s that plugins may use beside their own and the system's")
	fs.StringVar(&p.sums, "plugin-sums", "", "`FILE` of SHA-256 sums, as sha256sum writes it: plugins that are not in it are refused")
	fs.BoolVar(&p.upload, "allow-plugin-upload", false, "take plugins by https too, and not on the unix socket only")
	fs.BoolVar(&p.noSandbox, "no-plugin-sandbox", false, "run plugins outside the sandbox")
}

// heapSpare is how much the heap may grow, in percent of what is in use, before it is
// tidied: the objects in memory stay, and as much again would be for nothing. GOGC
// in the environment says otherwise.
const heapSpare = 50

// heapRoom is by how many bytes the heap may grow however little is in use: what the
// reads of a small fleet leave.
const heapRoom = 16 << 20

// startRoom is the same for the time of the start, at whose end a large fleet is in
// use and nothing of what it was made from.
const startRoom = 128 << 20

// stopBound bounds an orderly stop: plugins have 15 s to finish, then SIGTERM
// and SIGKILL 10 s apart.
const stopBound = 45 * time.Second

// newServeCommand makes "serve", the daemon.
func newServeCommand(a *app) *cobra.Command {
	var o serveOptions
	cmd := &cobra.Command{
		Use:   "serve",
		Short: "Run the endpoint: plugins, machines, actions, events",
		Long: `Run the endpoint until SIGINT or SIGTERM, which stop it in order: plugins finish
what they are doing, within bounds, and outcomes are written. A second signal
ends it at once.`,
		Args: none,
		RunE: func(cmd *cobra.Command, _ []string) error { return a.serve(cmd.Context(), o) },
	}
	fs := cmd.Flags()
	fs.StringVar(&o.dataDir, "data-dir", "", "`DIR` of everything that must survive (default /var/lib/oob for root, else $XDG_STATE_HOME/oob or ~/.local/state/oob)")
	fs.StringVar(&o.pluginDir, "plugin-dir", "", "`DIR` that is scanned for plugin binaries (default plugins in the data directory)")
	fs.StringVar(&o.listen, "listen", "127.0.0.1:8092", "`HOST:PORT` of the https API")
	fs.IntVar(&o.log, "log", 3, "log level: 0 nothing, 1 errors, 2 warnings, 3 what happens, 4 debug, 5 all traffic, secrets masked")
	fs.StringVar(&o.logFormat, "log-format", "text", "text or json")
	fs.StringVar(&o.backupDir, "backup-dir", "", "`DIR` of the snapshots that are taken daily (default backups in the data directory)")
	fs.IntVar(&o.backupKeep, "backup-keep", 7, "how many of these are kept; 0: none is taken")
	fs.StringVar(&o.tlsCert, "tls-cert", "", "`FILE` of a certificate and its chain; read again when it changes (default: one that is made in the data directory)")
	fs.StringVar(&o.tlsKey, "tls-key", "", "`FILE` of its key")
	o.plugins.bind(fs)
	return cmd
}

// serve runs an endpoint until ctx ends.
func (a *app) serve(ctx context.Context, o serveOptions) error {
	logger, level, err := a.logger(o.log, o.logFormat)
	if err != nil {
		return err
	}
	started := func() {}
	if a.getenv("GOGC") == "" {
		stop := garbage.Keep(heapSpare, startRoom)
		started = func() {
			stop()
			garbage.Keep(heapSpare, heapRoom)
		}
	}
	opts, err := a.endpointOptions(o)
	if err != nil {
		return err
	}
	opts.Logger, opts.Level = logger, level
	if err := sandbox.Close(); err != nil {
		return model.Errorf(model.Internal, "cannot keep other processes out of the memory: %w", err)
	}
	e, err := endpoint.New(opts)
	if err != nil {
		return err
	}
	if err := e.Start(ctx); err != nil {
		return err
	}
	started()
	err = a.announce(ctx, e, opts)
	if err == nil {
		a.notify(ctx, logger, notifyReady)
		<-ctx.Done()
	}
	a.notify(ctx, logger, notifyStopping)
	stopping, cancel := context.WithTimeoutCause(context.WithoutCancel(ctx), stopBound, fmt.Errorf("not stopped within %s", stopBound))
	defer cancel()
	if stopErr := e.Stop(stopping); err == nil {
		err = stopErr
	}
	return err
}

// endpointOptions turns flags into options, with the defaults filled in so
// that they can be shown.
func (a *app) endpointOptions(o serveOptions) (endpoint.Options, error) {
	opts := endpoint.Options{DataDir: o.dataDir, PluginDir: o.pluginDir, Listen: o.listen, Socket: a.flags.socket, Version: version, BackupDir: o.backupDir, BackupKeep: o.backupKeep,
		TLSCert: o.tlsCert, TLSKey: o.tlsKey, PluginEnv: o.plugins.env, PluginPaths: o.plugins.paths, NoSandbox: o.plugins.noSandbox,
		PluginSums: o.plugins.sums, AllowUpload: o.plugins.upload}
	if o.backupKeep <= 0 {
		opts.BackupKeep = -1
	}
	if a.flags.endpoint != "" {
		return opts, usage("--endpoint has no meaning for serve; --listen says where it serves")
	}
	var err error
	if opts.DataDir == "" {
		if opts.DataDir, err = a.defaultDataDir(); err != nil {
			return opts, err
		}
	}
	opts.Socket = cmp.Or(opts.Socket, filepath.Join(opts.DataDir, socketName))
	opts.PluginDir = cmp.Or(opts.PluginDir, filepath.Join(opts.DataDir, "plugins"))
	opts.BackupDir = cmp.Or(opts.BackupDir, filepath.Join(opts.DataDir, "backups"))
	for _, path := range []*string{&opts.DataDir, &opts.PluginDir, &opts.Socket, &opts.BackupDir} {
		if *path, err = filepath.Abs(*path); err != nil {
			return opts, usage("cannot find %s: %w", *path, err)
		}
	}
	return opts, nil
}

// logger makes the daemon's logger, which writes to stderr, and its level, which
// can be changed.
func (a *app) logger(number int, format string) (*slog.Logger, *slog.LevelVar, error) {
	least, err := loglevel.Parse(strconv.Itoa(number))
	if err != nil {
		return nil, nil, usage("--log must be 0..5, not %d", number)
	}
	level := &slog.LevelVar{}
	level.Set(least)
	opts := &slog.HandlerOptions{Level: level}
	switch format {
	case "text":
		return slog.New(slog.NewTextHandler(a.stderr, opts)), level, nil
	case "json":
		return slog.New(slog.NewJSONHandler(a.stderr, opts)), level, nil
	}
	return nil, nil, usage("--log-format must be text or json, not %q", format)
}

// announce prints where the endpoint is.
func (a *app) announce(ctx context.Context, e *endpoint.Endpoint, opts endpoint.Options) error {
	pin, err := fingerprint(ctx, e.Addr())
	if err != nil {
		return err
	}
	if a.flags.json {
		return a.printJSON(map[string]string{
			"version": version, "url": "https://" + e.Addr(), "fingerprint": pin,
			"socket": e.Socket(), "pluginDir": opts.PluginDir, "dataDir": opts.DataDir,
		})
	}
	fmt.Fprintf(a.stdout, "oob %s is serving\n", version)
	return table(a.stdout, [][]string{
		{"  url", "https://" + e.Addr()},
		{"  fingerprint", pin},
		{"  socket", e.Socket()},
		{"  plugins", opts.PluginDir},
		{"  data", opts.DataDir},
	})
}

// fingerprint is what --fingerprint takes: the SHA-256 of the certificate that the
// address serves, or of the endpoint's own CA behind it, which stays when that is
// renewed.
func fingerprint(ctx context.Context, addr string) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	// Nothing is sent to it: the certificate is what is asked for.
	dialer := &tls.Dialer{NetDialer: &net.Dialer{}, Config: &tls.Config{InsecureSkipVerify: true, MinVersion: tls.VersionTLS12}}
	conn, err := dialer.DialContext(ctx, "tcp", addr)
	if err != nil {
		return "", model.Errorf(model.Internal, "cannot read the endpoint's own certificate: %w", err)
	}
	defer conn.Close()
	shown := conn.(*tls.Conn).ConnectionState().PeerCertificates
	pin := shown[0]
	if ca := shown[len(shown)-1]; ca.IsCA && ca.CheckSignatureFrom(ca) == nil {
		pin = ca
	}
	return certificate.Fingerprint(pin), nil
}
