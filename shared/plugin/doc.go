// Package plugin is the plugin protocol of Digital Rebar Provision v4, both
// ends of it.
//
// The plugin side turns an implementation (Configurer and the optional
// interfaces beside it) into a plugin binary: InitApp builds the command line
// (define, listen, unpack, version, run) and Main executes it. The host side
// (Define, Unpack, Launch) is what an endpoint uses to run such binaries, ours
// and the reference's alike.
//
// Both ends talk HTTP/1.1 over two unix sockets: one from host to plugin
// (config, action, publish, stop) and one back (log, publish, leaving,
// objects).
package plugin
