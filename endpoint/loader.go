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
	log     *slog.Logger
	cat     *catalog
	sup     *supervisor
	objects *objects
	timing  timing
	dirs    pluginDirs

	mu    sync.Mutex        // guards files
	files map[string]string // provider to the file that has its name
}

// load asks the file what it is and takes it into use. Was is what the file
// was before, nil if it is new.
func (l *loader) load(ctx context.Context, path string, was *binary) (*binary, error) {
	exec := plugin.Exec{Path: path, Env: l.sup.env(l.sup.tokens.issue("define "+filepath.Base(path), readerGrant())), Dir: l.dirs.scratch}
	defer l.sup.tokens.revoke("define " + filepath.Base(path))
	bounded, cancel := context.WithTimeoutCause(ctx, l.timing.define,
		model.Errorf(model.Timeout, "define took longer than %s", l.timing.define))
	defer cancel()
	provider, err := plugin.Define(bounded, exec)
	if err != nil {
		return nil, err
	}
	if err := checkProvider(provider); err != nil {
		return nil, err
	}
	b := &binary{path: path, provider: provider}
	if err := l.claim(b); err != nil {
		return nil, err
	}
	if err := l.adopt(ctx, b, exec); err != nil {
		if was == nil || was.provider.Name != provider.Name {
			l.unload(b)
		}
		return nil, err
	}
	if was != nil && was.provider.Name != provider.Name {
		l.unload(was)
	}
	l.sup.install(b)
	return b, l.autoStart(ctx, b)
}

// adopt has the binary write its files and loads its content.
func (l *loader) adopt(ctx context.Context, b *binary, exec plugin.Exec) error {
	if err := l.unpack(ctx, b, exec); err != nil {
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
	return l.cat.put(b.provider.Name, bundle)
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

// claim takes the provider's name for a file, unless another file has it.
func (l *loader) claim(b *binary) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	name := b.provider.Name
	if other := l.files[name]; other != "" && other != b.path {
		return duplicate(name, b.path, other)
	}
	l.files[name] = b.path
	return nil
}

// unpack lets the binary write its files.
func (l *loader) unpack(ctx context.Context, b *binary, exec plugin.Exec) error {
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
