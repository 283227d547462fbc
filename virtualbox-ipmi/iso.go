package main

import (
	"context"
	"path/filepath"
	"strconv"
	"strings"

	"provision-plugins/shared/model"
	"provision-plugins/virtualbox-ipmi/vbox"
)

// paramISO is the image in the VM's drive.
const paramISO = "virtualbox/iso"

// emptyDrive is VirtualBox's word for a drive with nothing in it.
const emptyDrive = "emptydrive"

// mount is the answer of mountIso and unmountIso.
type mount struct {
	ISO        string `json:"iso"` // "" for none
	Controller string `json:"controller"`
	Port       int    `json:"port"`
	Device     int    `json:"device"`
	Changed    bool   `json:"changed"`
}

// mountISO puts an image into the VM's drive, also while it runs.
func (s *session) mountISO(ctx context.Context, p model.Params) (any, error) {
	iso, err := isoParam(p)
	if err != nil {
		return nil, err
	}
	if iso == "" {
		return nil, model.Errorf(model.Invalid, "param %s is not set", paramISO)
	}
	return s.insert(ctx, iso)
}

// unmountISO takes what is in the VM's drive out of it.
func (s *session) unmountISO(ctx context.Context, _ model.Params) (any, error) {
	return s.insert(ctx, "")
}

// isoParam reads the path of an image, "" if it is not set. The word host: and
// others that VirtualBox takes in place of a path are not taken.
func isoParam(p model.Params) (string, error) {
	iso, err := p.String(paramISO, "")
	if err != nil || iso == "" {
		return "", err
	}
	if !filepath.IsAbs(iso) || strings.ContainsAny(iso, "\x00\r\n") || !strings.EqualFold(filepath.Ext(iso), ".iso") {
		return "", model.Errorf(model.Invalid, "param %s: %.120q is not the absolute path of an .iso file on the host of the VM", paramISO, iso)
	}
	return filepath.Clean(iso), nil
}

// insert puts an image, or nothing, into the VM's first drive and looks whether
// it is there.
func (s *session) insert(ctx context.Context, iso string) (any, error) {
	ctx, info, unlock, err := s.lock(ctx)
	if err != nil {
		return nil, err
	}
	defer unlock()
	drive, in, ok := driveOf(info)
	if !ok {
		return nil, model.Errorf(model.Conflict, "the VM has no drive for images; add one by VBoxManage storageattach --type dvddrive --medium emptydrive while it is off")
	}
	drive.ISO = iso
	if in == iso {
		return drive, nil
	}
	medium := iso
	if iso == "" {
		medium = emptyDrive
	}
	args := []string{"storageattach", s.id, "--storagectl", drive.Controller, "--port", strconv.Itoa(drive.Port), "--device", strconv.Itoa(drive.Device),
		"--type", "dvddrive", "--medium", medium}
	if iso == "" {
		args = append(args, "--forceunmount")
	}
	if _, err := s.vm.Run(ctx, args...); err != nil {
		return nil, wire(err)
	}
	if info, err = s.info(ctx); err != nil {
		return nil, err
	}
	if _, in, _ := driveOf(info); in != iso {
		return nil, model.Errorf(model.Timeout, "the drive was told to hold %q, and holds %q", iso, in)
	}
	drive.Changed = true
	return drive, nil
}

// driveOf finds the VM's first drive for images and what is in it, "" for
// nothing. What VirtualBox prints does not tell a drive from a disk but by what
// is in it.
func driveOf(info *vbox.Info) (drive mount, in string, ok bool) {
	for _, c := range info.Controllers {
		for _, m := range c.Media {
			image := strings.EqualFold(filepath.Ext(m.Path), ".iso")
			if !image && m.Path != emptyDrive {
				continue
			}
			if image {
				in = m.Path
			}
			return mount{Controller: c.Name, Port: m.Port, Device: m.Device}, in, true
		}
	}
	return mount{}, "", false
}
