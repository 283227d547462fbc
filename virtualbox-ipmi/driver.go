package main

import (
	"context"
	"strings"
	"sync"
	"sync/atomic"

	"provision-plugins/shared/client"
	"provision-plugins/shared/driver"
	"provision-plugins/shared/model"
	"provision-plugins/virtualbox-ipmi/vbox"
)

// vboxDriver reaches the VMs of one user on this host.
type vboxDriver struct {
	current atomic.Pointer[host]
	// What Config told: the plugin object's name, its params, and the endpoint.
	name     atomic.Pointer[string]
	own      atomic.Pointer[model.Params]
	endpoint atomic.Pointer[client.Client]

	mu       sync.Mutex        // guards hardware
	hardware map[string]string // hardware UUIDs and the UUIDs of the VMs that have them
}

// host is VirtualBox as it is configured.
type host struct {
	*vbox.Manager
	user string // whose VMs they are; "" for the present user's
}

// newDriver returns the driver. It runs nothing until a session asks for it.
func newDriver(o vbox.Options) *vboxDriver {
	d := &vboxDriver{hardware: map[string]string{}}
	d.own.Store(&model.Params{})
	d.manage(o)
	return d
}

// manage makes the driver use another VBoxManage, or another user's VMs.
func (d *vboxDriver) manage(o vbox.Options) {
	d.current.Store(&host{Manager: vbox.New(o), user: o.User})
	d.mu.Lock()
	defer d.mu.Unlock()
	clear(d.hardware)
}

// vm is VBoxManage as it is configured now.
func (d *vboxDriver) vm() *host { return d.current.Load() }

// Name is the driver's name.
func (*vboxDriver) Name() string { return name }

// Modes lists the one way to reach a VM.
func (*vboxDriver) Modes() []driver.Mode {
	return []driver.Mode{{Name: "vboxmanage", Session: (*session)(nil)}}
}

// ActionParams returns what the actions need.
func (*vboxDriver) ActionParams(command string) (required, optional []string) {
	switch command {
	case model.PowerOn, model.PowerCycle:
		return []string{paramID}, []string{paramFrontend}
	case actionCreateVM, actionStartVM, actionStopVM, actionDestroyVM:
		return nil, nil
	}
	return []string{paramID}, nil
}

// Open returns a session with a VM. It runs nothing.
func (d *vboxDriver) Open(_ context.Context, t *driver.Target) (driver.Session, error) {
	return d.open(t)
}

// open is Open with its type.
func (d *vboxDriver) open(t *driver.Target) (*session, error) {
	parsed, err := parseTarget(t.Params)
	if err != nil {
		return nil, err
	}
	return d.session(parsed), nil
}

// session is a session with a VM.
func (d *vboxDriver) session(t *target) *session {
	return &session{driver: d, vm: d.vm(), id: d.uuidOf(t.id), frontend: t.frontend}
}

// uuidOf is the UUID of the VM with that hardware UUID, if one is known, else
// the id itself.
func (d *vboxDriver) uuidOf(id string) string {
	d.mu.Lock()
	defer d.mu.Unlock()
	if uuid, ok := d.hardware[id]; ok {
		return uuid
	}
	return id
}

// byHardware finds the VM whose hardware UUID is id: what a guest tells of itself
// is that, and a clone's is another than its VM's. It returns "" if there is
// none.
func (d *vboxDriver) byHardware(ctx context.Context, m *host, id string) (string, error) {
	all, err := m.List(ctx)
	if err != nil {
		return "", err
	}
	found := ""
	for _, one := range all {
		info, err := m.Info(ctx, one.UUID)
		if err != nil {
			continue // another VM's trouble
		}
		if info.HardwareUUID == id {
			if found != "" {
				return "", model.Errorf(model.Conflict, "%s is the hardware UUID of two VMs, %s and %s; set %s to the UUID of one", id, found, one.UUID, paramID)
			}
			found = one.UUID
		}
	}
	if found != "" {
		d.mu.Lock()
		defer d.mu.Unlock()
		d.hardware[id] = found
	}
	return found, nil
}

// forget forgets which VM had a hardware UUID.
func (d *vboxDriver) forget(uuid string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for id, known := range d.hardware {
		if strings.EqualFold(known, uuid) {
			delete(d.hardware, id)
		}
	}
}
