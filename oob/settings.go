package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"provision-plugins/oob/config"
	"provision-plugins/shared/inventory"
)

// flagDefaults are the flags whose defaults the environment and the
// configuration file can set, in the order in which they are set.
var flagDefaults = []struct{ flag, env string }{
	{"parallel", "OOB_PARALLEL"},
	{"timeout", "OOB_TIMEOUT"},
	{"batch", "OOB_BATCH"},
	{"pause", "OOB_PAUSE"},
	{"max-failures", "OOB_MAX_FAILURES"},
}

// configured reads the configuration file, once.
func (a *app) configured() (*config.File, error) {
	if a.config == nil {
		f, err := config.Load(a.getenv)
		if err != nil {
			return nil, err
		}
		a.config = f
	}
	return a.config, nil
}

// setDefaults sets the flags of a command that are not given on its command
// line: from the environment, else from the configuration file.
func (a *app) setDefaults(cmd *cobra.Command) error {
	for _, d := range flagDefaults {
		flag := cmd.Flags().Lookup(d.flag)
		if flag == nil || flag.Changed {
			continue
		}
		if d.flag == "pause" && cmd.Flags().Lookup("batch").Value.String() == "0" {
			continue // a default that has no meaning here
		}
		f, err := a.configured()
		if err != nil {
			return err
		}
		value, from := a.getenv(d.env), d.env
		if value == "" {
			value, from = f.Defaults[d.flag], f.Path+": defaults: "+d.flag
		}
		if value == "" {
			continue
		}
		if err := flag.Value.Set(value); err != nil {
			return usage("%s: invalid value %q: %w", from, value, valueFault(flag, err))
		}
	}
	return nil
}

// setting is a value and where it comes from.
type setting struct{ name, value, from string }

// connection is how the endpoint is reached.
type connection struct{ socket, endpoint, token, tokenFile, caFile, fingerprint setting }

// first is the first of some settings that has a value.
func first(settings ...setting) setting {
	for _, s := range settings {
		if s.value != "" {
			return s
		}
	}
	return setting{}
}

// connection tells how the endpoint is reached: by flags, else by the
// environment, else by the configuration file, else by the socket in the data
// directory. What the file says to be known by an endpoint counts for the file's
// endpoint only: a token must not go elsewhere.
func (a *app) connection() (connection, error) {
	if a.flags.socket != "" && a.flags.endpoint != "" {
		return connection{}, usage("--socket and --endpoint exclude each other")
	}
	f, err := a.configured()
	if err != nil {
		return connection{}, err
	}
	at := first(
		setting{"socket", a.flags.socket, "--socket"},
		setting{"endpoint", a.flags.endpoint, "--endpoint"},
		setting{"socket", a.getenv("OOB_SOCKET"), "OOB_SOCKET"},
		setting{"endpoint", a.getenv("OOB_ENDPOINT"), "OOB_ENDPOINT"},
		setting{"socket", f.Socket, f.Path},
		setting{"endpoint", f.Endpoint, f.Path},
	)
	if at.value == "" {
		path, err := a.defaultSocket()
		if err != nil {
			return connection{}, err
		}
		at = setting{"socket", path, "default"}
	}
	if at.name == "socket" {
		return connection{socket: at}, nil
	}
	if f.Endpoint != "" && f.Endpoint != at.value {
		f = &config.File{Path: f.Path}
	}
	return a.remote(at, f), nil
}

// remote is the connection to a remote endpoint.
func (a *app) remote(at setting, f *config.File) connection {
	out := connection{
		endpoint: at,
		fingerprint: first(
			setting{"fingerprint", a.flags.fingerprint, "--fingerprint"},
			setting{"fingerprint", a.getenv("OOB_FINGERPRINT"), "OOB_FINGERPRINT"},
			setting{"fingerprint", f.Fingerprint, f.Path},
		),
		caFile: first(
			setting{"ca-file", a.flags.caFile, "--ca-file"},
			setting{"ca-file", a.getenv("OOB_CA_FILE"), "OOB_CA_FILE"},
			setting{"ca-file", f.CAFile, f.Path},
		),
	}
	token := first(
		setting{"token-file", a.flags.tokenFile, "--token-file"},
		setting{"token", a.getenv("OOB_TOKEN"), "OOB_TOKEN"},
		setting{"token-file", a.getenv("OOB_TOKEN_FILE"), "OOB_TOKEN_FILE"},
		setting{"token", f.Token, f.Path},
		setting{"token-file", f.TokenFile, f.Path},
	)
	if token.name == "token" {
		out.token = token
	} else {
		out.tokenFile = token
	}
	return out
}

// bearer is the token of a connection.
func (c *connection) bearer() (string, error) {
	if c.tokenFile.value == "" {
		return c.token.value, nil
	}
	token, err := inventory.ReadSecret(c.tokenFile.value)
	if err != nil {
		name := c.tokenFile.from
		if name != "--token-file" {
			name += ": token-file"
		}
		return "", usage("%s: %w", name, err)
	}
	return token, nil
}

// newConfigCommand makes "config".
func newConfigCommand(a *app) *cobra.Command {
	return &cobra.Command{
		Use:   "config",
		Short: "Show the settings in effect and where each comes from",
		Long: `Show the settings in effect and where each comes from: a flag, else the
environment, else the configuration file, $OOB_CONFIG or oob/config.yaml in
$XDG_CONFIG_HOME or ~/.config. Tokens are masked.`,
		Args: none,
		RunE: func(*cobra.Command, []string) error { return a.showConfig() },
	}
}

// showConfig prints the settings.
func (a *app) showConfig() error {
	conn, err := a.connection()
	if err != nil {
		return err
	}
	f, err := a.configured()
	if err != nil {
		return err
	}
	if conn.token.value != "" {
		conn.token.value = "******"
	}
	settings := []setting{conn.socket, conn.endpoint, conn.token, conn.tokenFile, conn.caFile, conn.fingerprint}
	for _, d := range flagDefaults {
		settings = append(settings, first(setting{d.flag, a.getenv(d.env), d.env}, setting{d.flag, f.Defaults[d.flag], f.Path}))
	}
	rows := [][]string{{"SETTING", "VALUE", "FROM"}}
	for _, s := range settings {
		if s.value == "" {
			continue
		}
		if a.flags.json {
			if err := a.printJSON(map[string]string{"setting": s.name, "value": s.value, "from": s.from}); err != nil {
				return err
			}
			continue
		}
		rows = append(rows, []string{s.name, s.value, s.from})
	}
	if a.flags.json {
		return nil
	}
	if err := table(a.stdout, rows); err != nil {
		return err
	}
	path, _ := config.Path(a.getenv)
	if f.Path == "" && path != "" {
		fmt.Fprintf(a.stderr, "there is no configuration file %s\n", clean(path))
	}
	return nil
}
