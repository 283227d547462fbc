package main

import (
	"bytes"
	"context"
	"encoding/base64"
	"io"
	"os"
	"os/user"
	"path/filepath"
	"strconv"
	"syscall"

	"provision-plugins/shared/model"
)

// picture is the answer of screenshot.
type picture struct {
	ContentType string `json:"contentType"`
	Encoding    string `json:"encoding"`
	Data        string `json:"data"`
}

// The bound of a picture, and how each begins (PNG, third edition, §5.2).
const (
	maxPicture = 8 << 20
	pngMagic   = "\x89PNG\r\n\x1a\n"
)

// screenshot takes a picture of the VM's screen. It changes nothing, so the lock
// is not needed.
func (s *session) screenshot(ctx context.Context, _ model.Params) (any, error) {
	info, err := s.info(ctx)
	if err != nil {
		return nil, err
	}
	if info.State.Power != model.StateOn {
		return nil, model.Errorf(model.Conflict, "the VM is %s and shows nothing", info.State.Word)
	}
	dir, err := pictureFolder(s.vm.user)
	if err != nil {
		return nil, err
	}
	defer func() { _ = os.RemoveAll(dir) }() // what stays is in the folder of temporary files
	file := filepath.Join(dir, "screen.png")
	if _, err := s.vm.Run(ctx, "controlvm", s.id, "screenshotpng", file); err != nil {
		return nil, wire(err)
	}
	raw, err := readPicture(file)
	if err != nil {
		return nil, err
	}
	return picture{ContentType: "image/png", Encoding: "base64", Data: base64.StdEncoding.EncodeToString(raw)}, nil
}

// pictureFolder makes a folder that the owner of the VMs can write to, and nobody
// else.
func pictureFolder(owner string) (string, error) {
	dir, err := os.MkdirTemp("", "oob-screen-")
	if err != nil {
		return "", model.Errorf(model.Internal, "no folder for the picture: %w", err)
	}
	if err := giveTo(dir, owner); err != nil {
		_ = os.Remove(dir) // it is empty
		return "", err
	}
	return dir, nil
}

// giveTo makes a folder the owner's, which only root can do.
func giveTo(dir, owner string) error {
	if owner == "" {
		return nil
	}
	u, err := user.Lookup(owner)
	if err != nil {
		return model.Errorf(model.Invalid, "param %s: %w", paramUser, err)
	}
	uid, err := strconv.Atoi(u.Uid)
	if err != nil {
		return model.Errorf(model.Unsupported, "user %s has no number: %w", owner, err)
	}
	if uid == os.Getuid() {
		return nil
	}
	if os.Getuid() != 0 {
		return model.Errorf(model.Unsupported, "the VMs are of user %s, who cannot hand a picture over; run the plugin as that user, or as root", owner)
	}
	if err := os.Chown(dir, uid, -1); err != nil {
		return model.Errorf(model.Internal, "no folder for the picture: %w", err)
	}
	return nil
}

// readPicture reads a PNG, which is no link to somewhere else.
func readPicture(file string) ([]byte, error) {
	f, err := os.OpenFile(file, os.O_RDONLY|syscall.O_NOFOLLOW|syscall.O_NONBLOCK, 0)
	if err != nil {
		return nil, model.Errorf(model.Unreachable, "VirtualBox wrote no picture: %w", err)
	}
	defer f.Close()
	raw, err := io.ReadAll(io.LimitReader(f, maxPicture+1))
	switch {
	case err != nil:
		return nil, model.Errorf(model.Unreachable, "the picture cannot be read: %w", err)
	case len(raw) > maxPicture:
		return nil, model.Errorf(model.Unsupported, "the picture has more than %d MiB", maxPicture>>20)
	case !bytes.HasPrefix(raw, []byte(pngMagic)):
		return nil, model.Errorf(model.Unreachable, "what VirtualBox wrote is no PNG")
	}
	return raw, nil
}
