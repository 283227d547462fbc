package endpoint

import (
	"log/slog"
	"path/filepath"
	"time"

	"provision-plugins/shared/model"
)

// Options configure an Endpoint. The zero value works.
type Options struct {
	// DataDir holds everything that must survive a restart. Default:
	// /var/lib/oob for root, else $XDG_STATE_HOME/oob or ~/.local/state/oob.
	DataDir string
	// PluginDir is scanned for plugin binaries. Default: DataDir/plugins.
	PluginDir string
	// PluginSums is a file of SHA-256 sums, as sha256sum writes it: a plugin binary
	// of another sum is not run. Default: none, all are.
	PluginSums string
	// AllowUpload takes plugin binaries by https too. Default: by the unix socket
	// only.
	AllowUpload bool
	// RuntimeDir holds the plugins' sockets. Its path must be short. Default:
	// a fresh private directory in the temporary directory.
	RuntimeDir string
	// Listen is the address of the https API. Default: 127.0.0.1:8092.
	Listen string
	// TLSCert and TLSKey are the files of a certificate, with its chain, and its
	// key; they are read again when they change. Default: one that the endpoint
	// makes and renews in DataDir.
	TLSCert, TLSKey string
	// Socket is the path of the unix socket. Default: DataDir/oob.sock.
	Socket string
	// BackupDir holds the snapshots that are taken daily and before an upgrade of
	// the store. Default: DataDir/backups.
	BackupDir string
	// BackupKeep is how many of them are kept; below 0: none is taken. Default: 7.
	BackupKeep int
	// Site names this endpoint's site in every record. Default: local.
	Site string
	// Version is what GET /info answers. Default: v0.0.0-dev.
	Version string
	// Logger gets the endpoint's and its plugins' lines. Default: none.
	Logger *slog.Logger
	// Level is the level of Logger, where it can be changed while the endpoint
	// runs. Default: none, it cannot.
	Level *slog.LevelVar
	// PluginEnv names variables of this process's environment that plugins get
	// beside their own. Default: none.
	PluginEnv []string
	// PluginPaths are directories where plugins may read, write and run programs,
	// beside their own and the system's. Default: none.
	PluginPaths []string
	// NoSandbox starts plugins outside any sandbox.
	NoSandbox bool
	// ScanInterval is the time between two looks at PluginDir, and the time
	// a binary must hold still. Default: one second.
	ScanInterval time.Duration
}

// complete fills in the defaults and refuses what cannot work.
func (o Options) complete() (Options, error) {
	var err error
	if o.DataDir == "" {
		if o.DataDir, err = defaultDataDir(); err != nil {
			return o, err
		}
	}
	for _, path := range []*string{&o.DataDir, &o.PluginDir, &o.PluginSums, &o.RuntimeDir, &o.Socket, &o.TLSCert, &o.TLSKey, &o.BackupDir} {
		if *path == "" {
			continue
		}
		if *path, err = filepath.Abs(*path); err != nil {
			return o, model.Errorf(model.Invalid, "cannot find the working directory: %w", err)
		}
	}
	setDefault(&o.PluginDir, filepath.Join(o.DataDir, "plugins"))
	setDefault(&o.Socket, filepath.Join(o.DataDir, "oob.sock"))
	o.setBackupDefaults()
	setDefault(&o.Listen, "127.0.0.1:8092")
	setDefault(&o.Site, "local")
	setDefault(&o.Version, "v0.0.0-dev")
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.ScanInterval <= 0 {
		o.ScanInterval = time.Second
	}
	if len(o.Socket) > maxSocketPath {
		return o, model.Errorf(model.Invalid, "cannot use socket %s: its path is longer than %d bytes; choose a shorter one with --socket", o.Socket, maxSocketPath)
	}
	return o, nil
}

// setDefault sets an empty text.
func setDefault(text *string, value string) {
	if *text == "" {
		*text = value
	}
}
