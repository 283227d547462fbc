package endpoint

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"provision-plugins/endpoint/backup"
	"provision-plugins/shared/model"
)

const (
	// maxBinary bounds an uploaded plugin binary.
	maxBinary = 256 << 20
	// uploadTimeout bounds how long an upload may take, and how long it is then
	// waited for to be taken up.
	uploadTimeout = 10 * time.Minute
	takeUpTimeout = 30 * time.Second
	// uploadPrefix begins the names of files that are not whole yet: hidden files
	// are no plugins.
	uploadPrefix = ".upload-"
)

// binaryRoutes are those whose bodies are binaries.
func (a *api) binaryRoutes() map[string]http.HandlerFunc {
	return map[string]http.HandlerFunc{
		"POST /plugin_providers/{key}":       a.uploadProvider,
		"GET /plugin_providers/{key}/binary": a.downloadProvider,
	}
}

// provider returns a listed provider, or a file that is none, by name.
func (d *discovery) provider(name string) (*model.PluginProvider, error) {
	var found *model.PluginProvider
	for _, p := range d.providers() {
		if p.Name == name && (found == nil || p.Meta[metaState] == stateLoaded) {
			found = p
		}
	}
	if found == nil {
		return nil, notFound("plugin_providers", name)
	}
	return found, nil
}

// uploaded is the reference's answer to an upload.
type uploaded struct {
	Path string `json:"path"`
	Size int64  `json:"size"`
}

// uploadProvider takes a plugin binary. It replaces the one of that name in one
// step, once it is whole and has told what it is.
func (a *api) uploadProvider(w http.ResponseWriter, r *http.Request) {
	up, err := a.takeBinary(w, r)
	if err != nil {
		a.write(w, r, failure(model.AsError(err).On("plugin_providers", r.PathValue("key"))))
		return
	}
	a.write(w, r, &reply{status: http.StatusCreated, body: up})
}

// mayUpload refuses binaries from elsewhere, which this machine would run, unless
// it was said when the endpoint was started that they are wanted.
func (a *api) mayUpload(r *http.Request) error {
	if _, local := r.Context().Value(peerKey{}).(caller); local || a.discovery.uploads {
		return nil
	}
	return model.Errorf(model.Forbidden,
		"cannot upload by https: plugins are programs that the endpoint's machine runs; upload on that machine (oob plugin upload), or start the endpoint with --allow-plugin-upload")
}

// takeBinary is uploadProvider without its answer.
func (a *api) takeBinary(w http.ResponseWriter, r *http.Request) (*uploaded, error) {
	name := r.PathValue("key")
	if err := a.mayUpload(r); err != nil {
		return nil, err
	}
	if err := checkName("plugin_providers", name); err != nil {
		return nil, err
	}
	if err := http.NewResponseController(w).SetReadDeadline(time.Now().Add(uploadTimeout)); err != nil {
		return nil, model.Errorf(model.Internal, "cannot bound the request: %w", err)
	}
	part, size, err := receiveFile(a.discovery.dir, name, http.MaxBytesReader(w, r.Body, maxBinary))
	if err != nil {
		return nil, err
	}
	path := filepath.Join(a.discovery.dir, name)
	if err = a.discovery.examine(r.Context(), part, name); err == nil {
		err = putInPlace(part, path)
	}
	if err != nil {
		return nil, errors.Join(err, os.Remove(part))
	}
	a.log.Info("plugin binary uploaded", "file", path, "bytes", size, "by", principal(r.Context()))
	ctx, cancel := context.WithTimeout(r.Context(), takeUpTimeout)
	defer cancel()
	state, fault, err := a.discovery.await(ctx, name)
	if err == nil && state != stateLoaded {
		err = model.Errorf(model.Conflict, "%s was uploaded and is %s: %s", name, state, fault)
	}
	return &uploaded{Path: name, Size: size}, err
}

// putInPlace gives a file its name, in place of a file that has it. A directory
// stays.
func putInPlace(part, path string) error {
	err := os.Rename(part, path)
	switch {
	case err == nil:
		return backup.SyncDir(filepath.Dir(path))
	case errors.Is(err, fs.ErrExist), errors.Is(err, syscall.EISDIR):
		return model.Errorf(model.Conflict, "cannot put the binary in place: there is a directory of its name; remove it first")
	}
	return model.Errorf(model.Internal, "cannot put the binary in place: %w", cause(err))
}

// receiveFile writes a body to a hidden, executable file of a directory.
func receiveFile(dir, name string, body io.Reader) (path string, size int64, err error) {
	f, err := os.CreateTemp(dir, uploadPrefix+name+"-*")
	if err != nil {
		return "", 0, model.Errorf(model.Internal, "cannot write to the plugin directory: %w", cause(err))
	}
	size, err = io.Copy(f, body)
	var tooLarge *http.MaxBytesError
	switch {
	case errors.As(err, &tooLarge):
		err = model.Errorf(model.Invalid, "the binary is larger than %d MiB", maxBinary>>20)
	case err == nil && size == 0:
		err = model.Errorf(model.Invalid, "the binary is empty")
	case err != nil:
		err = model.Errorf(model.Invalid, "cannot take the binary: %w", err)
	}
	if done := errors.Join(f.Chmod(0o755), f.Sync(), f.Close()); err == nil && done != nil {
		err = model.Errorf(model.Internal, "cannot write %s: %w", name, done)
	}
	if err != nil {
		return "", 0, errors.Join(err, os.Remove(f.Name()))
	}
	return f.Name(), size, nil
}

// dropParts removes what uploads left that an earlier process did not end. One
// that is going on elsewhere is younger.
func (d *discovery) dropParts() {
	parts, err := filepath.Glob(filepath.Join(d.dir, uploadPrefix+"*"))
	if err != nil { // of the pattern, which holds the directory's name
		return
	}
	for _, part := range parts {
		info, err := os.Lstat(part)
		if err != nil || time.Since(info.ModTime()) < 2*uploadTimeout {
			continue
		}
		if err := os.Remove(part); err != nil {
			d.log.Warn("cannot remove the rest of an upload", "file", part, "error", cause(err))
		}
	}
}

// examine asks an uploaded file what it is, and refuses one that would not be
// loaded under its name.
func (d *discovery) examine(ctx context.Context, path, name string) error {
	if err := trusted(d.dir); err != nil {
		return model.Errorf(model.Conflict, "plugins of the plugin directory are refused: %w", err)
	}
	defer d.allowed.Forget(path)
	if err := d.allowed.Check(path); err != nil {
		return err
	}
	found, err := d.define(ctx, path)
	if err != nil {
		return model.Errorf(model.Invalid, "define failed: %s", strings.ReplaceAll(model.AsError(err).Text(), path, name))
	}
	if found.Name == name {
		return nil
	}
	if held, err := d.provider(found.Name); err == nil && filepath.Base(held.Meta[metaPath]) != name {
		return model.Errorf(model.Conflict, "the binary is of plugin provider %s, which is there already: upload it under that name", found.Name)
	}
	return nil
}

// downloadProvider answers the binary of a provider.
func (a *api) downloadProvider(w http.ResponseWriter, r *http.Request) {
	if err := a.sendBinary(w, r); err != nil {
		a.write(w, r, failure(model.AsError(err).On("plugin_providers", r.PathValue("key"))))
	}
}

// sendBinary is downloadProvider, unless nothing was answered yet and cannot be.
func (a *api) sendBinary(w http.ResponseWriter, r *http.Request) error {
	found, err := a.discovery.provider(r.PathValue("key"))
	if err != nil {
		return err
	}
	f, err := os.Open(found.Meta[metaPath])
	if err != nil {
		return model.Errorf(model.NotFound, "cannot read the binary: %w", cause(err))
	}
	defer f.Close()
	info, err := f.Stat()
	sum := sha256.New()
	if err == nil {
		_, err = io.Copy(sum, f)
	}
	if err != nil {
		return model.Errorf(model.Internal, "cannot read the binary: %w", cause(err))
	}
	if err := http.NewResponseController(w).SetWriteDeadline(time.Now().Add(uploadTimeout)); err != nil {
		return model.Errorf(model.Internal, "cannot bound the reply: %w", err)
	}
	h := w.Header()
	h.Set("Content-Type", "application/octet-stream")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("ETag", fmt.Sprintf("%q", "SHA256:"+hex.EncodeToString(sum.Sum(nil))))
	http.ServeContent(w, r, "", info.ModTime(), f)
	return nil
}

// removeProvider removes the binary of a provider. Its plugins end; their objects
// stay, and say what they miss. What was trusted is not any more.
func (a *api) removeProvider(r *http.Request) (*reply, error) {
	found, err := a.discovery.provider(r.PathValue("key"))
	if err != nil {
		return nil, err
	}
	if err := a.actions.sup.setTrust(r.Context(), found.Name, false); err != nil {
		return nil, err
	}
	path := found.Meta[metaPath]
	if err := os.Remove(path); err != nil {
		return nil, model.Errorf(model.Internal, "cannot remove %s: %w", path, cause(err))
	}
	a.log.Info("plugin binary is removed", "file", path, "by", principal(r.Context()))
	ctx, cancel := context.WithTimeout(r.Context(), takeUpTimeout)
	defer cancel()
	_, _, err = a.discovery.await(ctx, filepath.Base(path))
	return ok(found), err
}
