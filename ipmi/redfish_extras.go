package main

import (
	"context"

	"provision-plugins/ipmi/redfish"
	"provision-plugins/shared/driver"
	"provision-plugins/shared/model"
)

// The actions of mode redfish outside the vocabulary, besides those that tell a part
// of the system.
const (
	getTLSPin    = "getTlsPin"
	mountMedia   = "mountVirtualMedia"
	unmountMedia = "unmountVirtualMedia"
	statusMedia  = "statusVirtualMedia"
)

// The params of virtual media.
const (
	paramMediaURL  = "ipmi/virtual-media-url"
	paramMediaBoot = "ipmi/virtual-media-boot"
)

// What a session may be able to do besides.
type (
	// resourceReader tells a part of the machine.
	resourceReader interface {
		// Resource reads what a getX action tells. It may be retried.
		Resource(ctx context.Context, command string) (any, error)
	}
	// mediaReader tells what is in the virtual CD.
	mediaReader interface {
		// Media reads what is in. It may be retried.
		Media(ctx context.Context) (*redfish.Media, error)
	}
	// mediaChanger puts an image in, and takes it out.
	mediaChanger interface {
		// Mount puts an image in and reads it back. It is idempotent; another image in
		// there is a conflict.
		Mount(ctx context.Context, image string, boot bool) (*redfish.Media, error)
		// Unmount takes it out and reads that back. It is idempotent.
		Unmount(ctx context.Context) (*redfish.Media, error)
	}
)

// redfishExtras are the actions that need a session.
func redfishExtras() []extra {
	var all []extra
	for _, command := range redfish.Resources() {
		all = append(all, reads(command, readTime, func(ctx context.Context, s resourceReader) (any, error) {
			return s.Resource(ctx, command)
		}))
	}
	mount := changes(model.Idempotent, mountMedia, func(ctx context.Context, s mediaChanger, t *driver.Target) (any, error) {
		image, err := t.Params.String(paramMediaURL, "")
		if err != nil {
			return nil, err
		}
		boot, err := t.Params.Bool(paramMediaBoot, false)
		if err != nil {
			return nil, err
		}
		return s.Mount(ctx, image, boot)
	}).wants(paramMediaURL)
	mount.optional = append(mount.optional, paramMediaBoot)
	return append(all, mount,
		changes(model.Idempotent, unmountMedia, func(ctx context.Context, s mediaChanger, _ *driver.Target) (any, error) {
			return s.Unmount(ctx)
		}),
		reads(statusMedia, 0, func(ctx context.Context, s mediaReader) (any, error) { return s.Media(ctx) }),
	)
}

// pinExtra tells the certificate of a BMC, for who wants to pin it. It logs in
// nowhere.
func (d *ipmiDriver) pinExtra() driver.Extra {
	return driver.Extra{
		Prefix: "machines", Command: getTLSPin, Class: model.Read, Optional: redfishParams,
		Run: func(ctx context.Context, t *driver.Target, _ *model.Action) (any, error) {
			b, err := parseBoard(t.Params)
			if err != nil {
				return nil, err
			}
			target, err := b.redfishTarget(ctx, t.Params)
			if err != nil {
				return nil, err
			}
			return d.pool.Certificate(ctx, target)
		},
	}
}
