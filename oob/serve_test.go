package main

import (
	"os"
	"path/filepath"
	"reflect"
	"testing"

	"provision-plugins/endpoint"
)

// TestEndpointOptions turns the flags of serve into where everything is.
func TestEndpointOptions(t *testing.T) {
	wd, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	home := "/var/lib/oob"
	state := home
	if os.Geteuid() != 0 {
		home, state = "/home/op/.local/state/oob", "/var/state/oob"
	}
	tests := []struct {
		name   string
		o      serveOptions
		socket string
		env    map[string]string
		want   endpoint.Options
	}{
		{"nothing given", serveOptions{listen: "127.0.0.1:8092"}, "", map[string]string{"HOME": "/home/op"},
			endpoint.Options{DataDir: home, PluginDir: home + "/plugins", Socket: home + "/oob.sock", Listen: "127.0.0.1:8092"}},
		{"state directory", serveOptions{}, "", map[string]string{"HOME": "/home/op", "XDG_STATE_HOME": "/var/state"},
			endpoint.Options{DataDir: state, PluginDir: state + "/plugins", Socket: state + "/oob.sock"}},
		{"state directory that is not absolute", serveOptions{}, "", map[string]string{"HOME": "/home/op", "XDG_STATE_HOME": "state"},
			endpoint.Options{DataDir: home, PluginDir: home + "/plugins", Socket: home + "/oob.sock"}},
		{"data directory", serveOptions{dataDir: "d"}, "", nil,
			endpoint.Options{DataDir: filepath.Join(wd, "d"), PluginDir: filepath.Join(wd, "d", "plugins"), Socket: filepath.Join(wd, "d", "oob.sock")}},
		{"all", serveOptions{dataDir: "/d", pluginDir: "p", listen: ":0"}, "/run/s", nil,
			endpoint.Options{DataDir: "/d", PluginDir: filepath.Join(wd, "p"), Socket: "/run/s", Listen: ":0"}},
	}
	for _, tt := range tests {
		a, _, _ := testApp("")
		a.flags.socket, a.getenv = tt.socket, func(name string) string { return tt.env[name] }
		tt.want.Version = version
		tt.want.BackupDir, tt.want.BackupKeep = filepath.Join(tt.want.DataDir, "backups"), -1 // no flag says how many
		got, err := a.endpointOptions(tt.o)
		if err != nil || !reflect.DeepEqual(got, tt.want) {
			t.Errorf("%s: got %+v, %v; want %+v", tt.name, got, err, tt.want)
		}
	}
}
