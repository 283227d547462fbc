package health

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"

	"provision-plugins/shared/model"
)

// maxAnswer bounds what the endpoint answers.
const maxAnswer = 8 << 20

// ask reads something of the endpoint over its socket.
func (e *examination) ask(ctx context.Context, path string, out any) (status int, err error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://socket"+path, nil)
	if err != nil {
		return 0, err
	}
	transport := &http.Transport{DisableKeepAlives: true, DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		var dialer net.Dialer
		return dialer.DialContext(ctx, "unix", e.Socket)
	}}
	defer transport.CloseIdleConnections()
	resp, err := transport.RoundTrip(req)
	if err != nil {
		return 0, err
	}
	defer resp.Body.Close()
	return resp.StatusCode, json.NewDecoder(io.LimitReader(resp.Body, maxAnswer)).Decode(out)
}

// pluginDir checks the directory of plugins, and each file in it: one that others
// can change is not run.
func (e *examination) pluginDir(context.Context) model.Check {
	const name = "plugin directory"
	info, err := os.Stat(e.PluginDir)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return doubtful(name, "", e.PluginDir+" is not there", "name the right one with --plugin-dir; the endpoint makes it when it starts")
	case err != nil:
		return bad(name, model.Forbidden, e.PluginDir+": "+plain(err), "run this as the endpoint's user or as root")
	case !info.IsDir():
		return bad(name, model.Invalid, e.PluginDir+" is no directory", "name the right one with --plugin-dir")
	}
	if why := e.unsafe(info); why != "" {
		return bad(name, model.Invalid, e.PluginDir+" "+why+": nothing in it is run", "chown root "+e.PluginDir+"; chmod 0755 "+e.PluginDir)
	}
	entries, err := os.ReadDir(e.PluginDir)
	if err != nil {
		return bad(name, model.Forbidden, e.PluginDir+": "+plain(err), "run this as the endpoint's user or as root")
	}
	count := 0
	for _, entry := range entries {
		path := filepath.Join(e.PluginDir, entry.Name())
		info, err := os.Stat(path)
		if err != nil || !info.Mode().IsRegular() || info.Mode().Perm()&0o111 == 0 || strings.HasPrefix(entry.Name(), ".") {
			continue
		}
		if why := e.unsafe(info); why != "" {
			return bad(name, model.Invalid, path+" "+why+": it is not run", "look where it is from; then chown root "+path+"; chmod 0755 "+path)
		}
		count++
	}
	if count == 0 {
		return doubtful(name, e.PluginDir, "no plugin is in it", "copy plugins there, owned by root and with mode 0755")
	}
	return good(name, fmt.Sprintf("%s, %d plugins", e.PluginDir, count))
}

// unsafe is why somebody else could change a file; empty: nobody could.
func (e *examination) unsafe(info fs.FileInfo) string {
	owner := ownerOf(info)
	switch {
	case info.Mode().Perm()&0o022 != 0:
		return fmt.Sprintf("can be written by others (mode %04o)", info.Mode().Perm())
	case owner != 0 && owner != os.Geteuid() && owner != e.owner:
		return "belongs to neither root nor the endpoint's user"
	}
	return ""
}

// pluginState is what the endpoint tells of a plugin, or of a provider.
type pluginState struct {
	Name         string
	Available    bool
	PluginErrors []string
	Errors       []string
}

// plugins checks that the endpoint's plugins take actions.
func (e *examination) plugins(ctx context.Context) model.Check {
	const name = "plugins"
	if !e.up {
		return skipped(name, "the endpoint does not answer")
	}
	var all []pluginState
	if status, err := e.ask(ctx, "/api/v3/plugins", &all); err != nil || status != http.StatusOK {
		return bad(name, model.Internal, fmt.Sprintf("the endpoint does not list them: status %d, %v", status, err), "run this as the endpoint's user or as root")
	}
	var sick, well []string
	for _, p := range all {
		if why := append(p.PluginErrors, p.Errors...); !p.Available || len(why) > 0 {
			sick = append(sick, p.Name+": "+strings.Join(why, ", "))
			continue
		}
		well = append(well, p.Name)
	}
	switch {
	case len(sick) > 0:
		return bad(name, model.Unreachable, strings.Join(sick, "; "), "oob plugin show NAME says more")
	case len(well) == 0:
		return doubtful(name, "", "there is none: no action can be run", "copy plugins to "+e.PluginDir)
	}
	return good(name, strings.Join(well, ", "))
}
