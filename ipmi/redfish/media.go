package redfish

import (
	"context"
	"encoding/json"
	"net/url"
	"slices"
	"strings"

	"provision-plugins/shared/model"
)

// Media is what is in the virtual CD.
type Media struct {
	ID       string `json:"id"` // the path of the resource
	Inserted bool   `json:"Inserted"`
	Image    string `json:"Image"`
	// Changed tells whether something was sent for it.
	Changed *bool `json:"changed,omitempty"`
	// Boot tells that the next boot is from it.
	Boot bool `json:"boot,omitempty"`
}

// medium is a VirtualMedia resource.
type medium struct {
	path  string
	read  *answer
	Types []string `json:"MediaTypes"`
	Image *string  `json:"Image"`
	In    *bool    `json:"Inserted"`

	Actions map[string]json.RawMessage
	Oem     map[string]struct {
		Actions map[string]json.RawMessage
	}
}

// mediaDialects are the actions by which an image is put in and taken out, the first
// that a medium offers counts. The standard ones stand before the vendors'.
var mediaDialects = []struct{ oem, insert, eject string }{
	{"", "#VirtualMedia.InsertMedia", "#VirtualMedia.EjectMedia"},
	{"Hpe", "#HpeiLOVirtualMedia.InsertVirtualMedia", "#HpeiLOVirtualMedia.EjectVirtualMedia"},
	{"Hp", "#HpiLOVirtualMedia.InsertVirtualMedia", "#HpiLOVirtualMedia.EjectVirtualMedia"},
	{"Supermicro", "#SmcVirtualMedia.Mount", "#SmcVirtualMedia.UnMount"},
}

// action is where a medium's action is; "" if it does not offer it.
func (m *medium) action(insert bool) string {
	for _, d := range mediaDialects {
		name, from := d.eject, m.Actions
		if insert {
			name = d.insert
		}
		if d.oem != "" {
			from = m.Oem[d.oem].Actions
		}
		var a action
		if raw, ok := from[name]; ok && json.Unmarshal(raw, &a) == nil && a.Target != "" {
			return a.Target
		}
	}
	return ""
}

// holds reports what is in it.
func (m *medium) holds() string {
	if m.Image == nil || m.In != nil && !*m.In {
		return ""
	}
	return *m.Image
}

// media is it for a caller.
func (m *medium) media() *Media {
	image := m.holds()
	return &Media{ID: m.path, Inserted: image != "" || m.In != nil && *m.In, Image: image}
}

// opticalTypes are the media types of a CD (VirtualMedia, MediaType).
var opticalTypes = []string{"CD", "DVD"}

// cd finds the virtual CD: of the system where it has virtual media, else of the
// manager of the system.
func (s *Session) cd(ctx context.Context) (*medium, error) {
	sys, a, err := s.system(ctx)
	if err != nil {
		return nil, err
	}
	var own map[string]json.RawMessage
	if err := a.decode(&own); err != nil {
		return nil, model.Errorf(model.Unreachable, "BMC %s: %w", s.bmc.key.peer, err)
	}
	places := []string{linkIn(own, "VirtualMedia")}
	for _, manager := range sys.Links.ManagedBy {
		var m map[string]json.RawMessage
		if _, err := s.bmc.get(ctx, manager.ID, &m); err != nil {
			return nil, err
		}
		places = append(places, linkIn(m, "VirtualMedia"))
	}
	for _, at := range slices.DeleteFunc(places, func(p string) bool { return p == "" }) {
		m, err := s.opticalAt(ctx, at)
		if m != nil || err != nil {
			return m, err
		}
	}
	return nil, model.Errorf(model.Unsupported, "BMC %s: it has no virtual CD", s.bmc.key.peer)
}

// opticalAt finds the first virtual CD of a collection that an image can be put in;
// nil if there is none.
func (s *Session) opticalAt(ctx context.Context, at string) (*medium, error) {
	paths, err := s.bmc.members(ctx, at)
	if err != nil {
		return nil, err
	}
	for _, p := range paths {
		m, err := s.medium(ctx, p)
		if err != nil {
			return nil, err
		}
		if slices.ContainsFunc(opticalTypes, func(t string) bool { return slices.Contains(m.Types, t) }) {
			return m, nil
		}
	}
	return nil, nil
}

// medium reads one.
func (s *Session) medium(ctx context.Context, at string) (*medium, error) {
	m := &medium{path: at}
	var err error
	m.read, err = s.bmc.get(ctx, at, m)
	return m, err
}

// Media tells what is in the virtual CD.
func (s *Session) Media(ctx context.Context) (*Media, error) {
	m, err := s.cd(ctx)
	if err != nil {
		return nil, err
	}
	return m.media(), nil
}

// imageSchemes are those that BMCs fetch images by.
var imageSchemes = []string{"http", "https", "nfs", "cifs", "smb", "ftp", "tftp"}

// checkImage refuses what is no address of an image.
func checkImage(image string) error {
	u, err := url.Parse(image)
	if err != nil || !slices.Contains(imageSchemes, strings.ToLower(u.Scheme)) || u.Host == "" {
		return model.Errorf(model.Invalid, "param ipmi/virtual-media-url must be a URL that the BMC can fetch, by one of %s", strings.Join(imageSchemes, ", "))
	}
	return nil
}

// Mount puts an image into the virtual CD and reads back that it is there. With boot
// the next boot is from it.
func (s *Session) Mount(ctx context.Context, image string, boot bool) (*Media, error) {
	if err := checkImage(image); err != nil {
		return nil, err
	}
	m, err := s.cd(ctx)
	if err != nil {
		return nil, err
	}
	changed := m.holds() != image
	if other := m.holds(); changed && other != "" {
		return nil, model.Errorf(model.Conflict, "BMC %s: another image is in the virtual CD; unmount it first; nothing was sent", s.bmc.key.peer)
	}
	if changed {
		if err := s.put(ctx, m, true, map[string]any{"Image": image}); err != nil {
			return nil, err
		}
		if m, err = s.settled(ctx, m, image); err != nil {
			return nil, err
		}
	}
	out := m.media()
	out.Changed = &changed
	if boot {
		if err := s.bootMedia(ctx, m); err != nil {
			return nil, err
		}
		out.Boot = true
	}
	return out, nil
}

// Unmount takes out what is in the virtual CD, and reads back that it is empty.
func (s *Session) Unmount(ctx context.Context) (*Media, error) {
	m, err := s.cd(ctx)
	if err != nil {
		return nil, err
	}
	changed := m.media().Inserted
	if changed {
		if err := s.put(ctx, m, false, map[string]any{}); err != nil {
			return nil, err
		}
		if m, err = s.settled(ctx, m, ""); err != nil {
			return nil, err
		}
	}
	out := m.media()
	out.Changed = &changed
	return out, nil
}

// put changes a medium, by its action, or by its properties where it has none.
func (s *Session) put(ctx context.Context, m *medium, insert bool, body map[string]any) error {
	if target := m.action(insert); target != "" {
		return s.bmc.post(ctx, model.Idempotent, target, body)
	}
	if !insert {
		body = map[string]any{"Image": nil}
	}
	return s.bmc.patch(ctx, m.path, m.read, body)
}

// settled reads a medium until it holds the image.
func (s *Session) settled(ctx context.Context, m *medium, image string) (*medium, error) {
	for gap := firstTaskGap; ; gap = min(gap*2, maxTaskGap) {
		now, err := s.medium(ctx, m.path)
		if err != nil {
			return nil, model.Errorf(model.KindOf(err), "the image was taken, but cannot be read back: %w", err)
		}
		if now.holds() == image {
			return now, nil
		}
		if !wait(ctx, gap) {
			return nil, model.Errorf(model.Timeout, "BMC %s: the order was taken, but the virtual CD reads otherwise", s.bmc.key.peer)
		}
	}
}

// profile is the setting by which an iDRAC, for which Redfish has no word, boots from
// the virtual CD once.
const profile = `<SystemConfiguration><Component FQDD="iDRAC.Embedded.1">` +
	`<Attribute Name="ServerBoot.1#BootOnce">Enabled</Attribute>` +
	`<Attribute Name="ServerBoot.1#FirstBootDevice">VCD-DVD</Attribute>` +
	`</Component></SystemConfiguration>`

// bootMedia makes the next boot one from the virtual CD: in the vendor's own way
// where it has one, else by the boot override.
func (s *Session) bootMedia(ctx context.Context, m *medium) error {
	var raw struct {
		Oem struct {
			Hpe struct{ BootOnNextServerReset *bool }
		}
	}
	if m.read.decode(&raw) == nil && raw.Oem.Hpe.BootOnNextServerReset != nil {
		return s.bmc.patch(ctx, m.path, m.read, map[string]any{"Oem": map[string]any{"Hpe": map[string]any{"BootOnNextServerReset": true}}})
	}
	target, err := s.profileTarget(ctx)
	switch {
	case err != nil:
		return err
	case target != "":
		return s.bmc.post(ctx, model.Idempotent, target, map[string]any{
			"ImportBuffer": profile, "ShutdownType": "NoReboot", "ShareParameters": map[string]any{"Target": "iDRAC"},
		})
	}
	return s.SetBoot(ctx, model.BootCD, false)
}

// profileTarget is where the manager of the system takes a profile; "" if it does
// not.
func (s *Session) profileTarget(ctx context.Context) (string, error) {
	sys, _, err := s.system(ctx)
	if err != nil {
		return "", err
	}
	for _, manager := range sys.Links.ManagedBy {
		var m struct {
			Actions struct{ Oem map[string]action }
		}
		if _, err := s.bmc.get(ctx, manager.ID, &m); err != nil {
			return "", err
		}
		for name, a := range m.Actions.Oem {
			if strings.HasSuffix(name, "Manager.ImportSystemConfiguration") {
				return a.Target, nil
			}
		}
	}
	return "", nil
}
