package endpoint

import (
	"path/filepath"

	"provision-plugins/shared/model"
	"provision-plugins/shared/plugin/sandbox"
)

// The words of how plugins are confined, in GET /info and in the Meta of each
// provider's listing.
const (
	metaConfined = "oob/confined"
	// outsideAll is the word where the endpoint was told to confine none.
	outsideAll = "none: switched off"
	// sandboxOff is what a provider declares that cannot work inside.
	sandboxOff = "off"
)

// rules are what the processes of a provider may reach beside the system's
// programs and their own directories; nil lets them run outside the sandbox. Those
// that an admin trusts do, as they have everything else.
func (s *supervisor) rules(p *model.PluginProvider, trusted bool) *sandbox.Rules {
	if s.outside || trusted || p.Meta[model.MetaSandbox] == sandboxOff {
		return nil
	}
	return &sandbox.Rules{
		Read: []string{s.dirs.webroot},
		Run:  s.paths,
		// What the reference's plugins make in the web root is their own.
		Write: append([]string{filepath.Join(s.dirs.webroot, "files", "plugin_providers", p.Name)}, s.paths...),
	}
}

// confinement describes how plugins are confined that do not say otherwise.
func (s *supervisor) confinement() string {
	if s.outside {
		return outsideAll
	}
	return sandbox.Available().String()
}

// confined describes how the plugins of a provider are.
func (s *supervisor) confined(p *model.PluginProvider) string {
	switch {
	case s.outside:
		return outsideAll
	case s.trusted(p.Name):
		return "none: it is trusted"
	case p.Meta[model.MetaSandbox] == sandboxOff:
		return "none: it says that it cannot be"
	}
	return s.confinement()
}
