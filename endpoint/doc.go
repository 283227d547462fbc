// Package endpoint is the embeddable endpoint: it finds plugin binaries in its
// plugin directory, keeps machines and their params, runs actions through the
// plugins, carries events, and serves the REST API under /api/v3 over https
// and over a unix socket.
//
// It knows only the plugin protocol: no driver and no plugin is imported.
package endpoint
