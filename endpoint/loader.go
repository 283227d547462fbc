package endpoint

import (
	"context"
	"log/slog"
	"os"
	"path/filepath"
	"sync"

	"provision-plugins/shared/content"
	"provision-plugins/shared/model"
	"provision-plugins/shared/plugin"
)

// loader turns a file of the plugin directory into a provider in use.
type loader struct {
	log      *slog.Logger
	cat      *catalog
	sup      *supervisor
	objects  *objects
	contents *contents
	timing   timing
	dirs     pluginDirs

	kinds map[string]brought // by provider; guarded by mu

	names keyLocks // by provider: one file at a time is taken into use

	mu    sync.Mutex        // guards files
	files map[string]string // provider to the file that has its name
}

// define asks the file what it is.
func (l *loader) define(ctx context.Context, path string) (*model.PluginProvider, error) {
	exec, end := l.exec("define "+filepath.Base(path), path)
	defer end()
	bounded, cancel := context.WithTimeoutCause(ctx, l.timing.define,
		model.Errorf(model.Timeout, "define took longer than %s", l.timing.define))
	defer cancel()
	provider, err := plugin.Define(bounded, exec)
	if err == nil {
		err = checkProvider(provider)
	}
	return provider, err
}

// exec is how a file is run that is no plugin's process; what it returns voids the
// token.
func (l *loader) exec(name, path string) (plugin.Exec, func()) {
	env := l.sup.env(l.sup.tokens.issue(name, readerGrant()))
	rules := l.sup.rules(&model.PluginProvider{}, false)
	return plugin.Exec{Path: path, Env: env, Dir: l.dirs.scratch, Sandbox: rules}, func() { l.sup.tokens.revoke(name) }
}

// load asks the file what it is and takes it into use. Was is what the file
// was before, nil if it is new.
func (l *loader) load(ctx context.Context, path string, was *binary) (*binary, error) {
	provider, err := l.define(ctx, path)
	if err != nil {
		return nil, err
	}
	b := &binary{path: path, provider: provider}
	defer l.names.lock("plugin_providers", provider.Name, "")()
	before, err := l.claim(b)
	if err != nil {
		return nil, err
	}
	if err := l.adopt(ctx, b); err != nil {
		l.disclaim(b, before)
		return nil, err
	}
	if was != nil && was.provider.Name != provider.Name {
		l.unload(was)
	}
	l.setKinds(provider.Name, provider.StoreObjects)
	l.sup.install(b)
	return b, l.autoStart(ctx, b)
}

// adopt has the binary write its files and loads its content.
func (l *loader) adopt(ctx context.Context, b *binary) error {
	if err := l.unpack(ctx, b); err != nil {
		return err
	}
	bundle := &model.Content{}
	if b.provider.Content != "" {
		var err error
		if bundle, err = content.Parse([]byte(b.provider.Content)); err != nil {
			return model.Errorf(model.Invalid, "cannot read the content of plugin provider %s: %w", b.provider.Name, err)
		}
	}
	b.meta = shownMeta(b.provider, bundle)
	if err := l.objects.declareTargets(ctx, b.provider); err != nil {
		return err
	}
	if err := l.objects.provided(ctx, b.provider.Name, bundle); err != nil {
		return err
	}
	if l.contents.load(ctx) { // what was uploaded may have waited for it
		l.contents.changed()
	}
	return nil
}

// checkProvider refuses a definition that the endpoint could not work with.
func checkProvider(p *model.PluginProvider) error {
	if err := checkName("plugin_providers", p.Name); err != nil {
		return err
	}
	if p.PluginVersion > model.PluginVersion {
		return model.Errorf(model.Unsupported, "plugin provider %s speaks plugin protocol %d; this endpoint speaks %d",
			p.Name, p.PluginVersion, model.PluginVersion)
	}
	if _, err := pluginGrant(p, false); err != nil {
		return err
	}
	_, err := credentialTargets(p)
	return err
}

// claim takes the provider's name for a file, and answers which file had it.
// Which of two files of one provider wins does not depend on which was seen
// first.
func (l *loader) claim(b *binary) (before string, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	name := b.provider.Name
	before = l.files[name]
	if before != "" && before != b.path && !preferred(name, b.path, before) {
		return before, duplicate(name, b.path, before)
	}
	l.files[name] = b.path
	return before, nil
}

// preferred reports whether the first of two files of one provider wins: one that
// has the provider's name, else the first in the order of names.
func preferred(provider, path, other string) bool {
	one, two := filepath.Base(path), filepath.Base(other)
	if (one == provider) != (two == provider) {
		return one == provider
	}
	return one < two
}

// disclaim gives a name back that could not be used.
func (l *loader) disclaim(b *binary, before string) {
	if before == "" {
		l.unload(b)
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.files[b.provider.Name] = before
}

// holds reports whether a file is the one that is used for its provider, and
// otherwise which is.
func (l *loader) holds(b *binary) (other string, ok bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	other = l.files[b.provider.Name]
	return other, other == b.path
}

// unpack lets the binary write its files.
func (l *loader) unpack(ctx context.Context, b *binary) error {
	exec, end := l.exec("unpack "+b.provider.Name, b.path)
	defer end()
	dir := filepath.Join(l.dirs.webroot, "files", "plugin_providers", b.provider.Name)
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return model.Errorf(model.Internal, "cannot make %s: %w", dir, cause(err))
	}
	bounded, cancel := context.WithTimeoutCause(ctx, l.timing.unpack,
		model.Errorf(model.Timeout, "unpack took longer than %s", l.timing.unpack))
	defer cancel()
	return plugin.Unpack(bounded, exec, dir)
}

// autoStart makes the plugin object of a provider that wants one.
func (l *loader) autoStart(ctx context.Context, b *binary) error {
	if !b.provider.AutoStart {
		return nil
	}
	k := l.objects.kinds.get("plugins")
	if _, err := l.objects.find(k, b.provider.Name); model.KindOf(err) != model.NotFound {
		return err
	}
	body, err := model.Marshal(&model.Plugin{
		Name: b.provider.Name, Provider: b.provider.Name,
		MetaData: model.MetaData{Meta: b.provider.Meta},
	})
	if err == nil {
		_, err = l.objects.create(ctx, k, body)
	}
	return err
}

// unload takes a provider out of use.
func (l *loader) unload(b *binary) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.files[b.provider.Name] != b.path {
		return
	}
	delete(l.files, b.provider.Name)
	l.sup.retire(b.provider.Name)
	l.cat.remove(b.provider.Name)
	l.replaceKinds(b.provider.Name, nil)
}

// shownMeta is the Meta of a provider's listing: its own, over its content's.
func shownMeta(p *model.PluginProvider, bundle *model.Content) map[string]string {
	out := map[string]string{}
	// The meta's fields are texts and two booleans; only texts are shown.
	var fields map[string]any
	if err := model.Remarshal(bundle.Meta, &fields); err == nil {
		for name, v := range fields {
			if text, ok := v.(string); ok && text != "" {
				out[name] = text
			}
		}
	}
	out["Name"], out["Type"] = p.Name, "plugin"
	for name, v := range p.Meta {
		out[name] = v
	}
	return out
}
