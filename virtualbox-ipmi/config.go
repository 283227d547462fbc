package main

import (
	"context"
	"log/slog"
	"sync"

	"provision-plugins/shared/client"
	"provision-plugins/shared/model"
	"provision-plugins/virtualbox-ipmi/build"
	"provision-plugins/virtualbox-ipmi/vbox"
)

// settings are the plugin's own params.
type settings struct {
	name    string // the plugin object's
	imports bool
	vbox    vbox.Options
}

// parseSettings reads the plugin's params. Its errors name the param.
func parseSettings(p model.Params) (*settings, error) {
	s := &settings{}
	var err error
	if s.name, err = p.String("Name", name); err != nil {
		return nil, err
	}
	if s.vbox.Command, err = p.String(paramCommand, ""); err != nil {
		return nil, err
	}
	if s.vbox.User, err = p.String(paramUser, ""); err != nil {
		return nil, err
	}
	if s.vbox.User != "" && !userForm.MatchString(s.vbox.User) {
		return nil, model.Errorf(model.Invalid, "param %s: %.60q is not the name of a user", paramUser, s.vbox.User)
	}
	if s.imports, err = p.Bool(paramImport, false); err != nil {
		return nil, err
	}
	// They are for createVm, which reads them again: wrong ones are told now.
	_, err = build.ParseSpec(p)
	return s, err
}

// background is what the plugin does beside actions, until it is stopped or
// configured anew.
type background struct {
	mu   sync.Mutex // guards the below
	stop context.CancelFunc
	done chan struct{}
	over bool
}

// begin ends what runs and runs work instead.
func (b *background) begin(work func(ctx context.Context)) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.end()
	if b.over {
		return
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	b.stop, b.done = cancel, done
	go func() {
		defer close(done)
		work(ctx)
	}()
}

// end ends what runs and waits for it. The lock is held.
func (b *background) end() {
	if b.stop == nil {
		return
	}
	b.stop()
	<-b.done
	b.stop = nil
}

// close ends what runs, for good.
func (b *background) close() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.over = true
	b.end()
}

// Config takes the plugin's own params. What VirtualBox itself has to say comes
// with the first action.
func (i *impl) Config(_ context.Context, c *client.Client, params model.Params) error {
	s, err := parseSettings(params)
	if err != nil {
		return err
	}
	s.vbox.Logger = i.log
	i.driver.manage(s.vbox)
	i.driver.name.Store(&s.name)
	i.driver.endpoint.Store(c)
	i.driver.own.Store(&params)
	if s.imports {
		i.imports.begin(func(ctx context.Context) { i.importAll(ctx, c) })
	}
	return nil
}

// importAll makes a machine of every VM that has none.
func (i *impl) importAll(ctx context.Context, c *client.Client) {
	made, err := i.driver.importVMs(ctx, c, i.log)
	switch {
	case ctx.Err() != nil:
	case err != nil:
		i.log.WarnContext(ctx, "not all VMs were imported", "imported", made, "error", model.AsError(err).Text())
	default:
		i.log.InfoContext(ctx, "VMs imported", slog.Int("imported", made))
	}
}
