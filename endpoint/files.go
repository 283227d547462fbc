package endpoint

import (
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"time"

	"provision-plugins/shared/model"
)

// fileTimeout bounds how long a client may take for one file.
const fileTimeout = 10 * time.Minute

// serveFile answers a file that a plugin unpacked. There are no listings, no
// hidden files and no way out of the directory, by a link neither.
func (a *api) serveFile(w http.ResponseWriter, r *http.Request) {
	name := r.PathValue("path")
	missing := func() {
		e := model.Errorf(model.NotFound, "Not Found").On("files", name)
		e.Type = http.MethodGet
		a.write(w, r, failure(e))
	}
	f, info, err := openFile(a.files, name)
	if err != nil {
		missing()
		return
	}
	defer f.Close()
	if err := http.NewResponseController(w).SetWriteDeadline(time.Now().Add(fileTimeout)); err != nil {
		a.log.Debug("cannot bound a reply", "error", err)
	}
	w.Header().Set("X-Content-Type-Options", "nosniff")
	w.Header().Set("Cache-Control", "no-store")
	http.ServeContent(w, r, info.Name(), info.ModTime(), f)
}

// fileRoutes are those of files, also below the root of the API, where clients of
// the reference ask for them.
func (a *api) fileRoutes() map[string]http.HandlerFunc {
	const one = " " + apiRoot + "/files/{path...}"
	return map[string]http.HandlerFunc{
		"GET /files/{path...}":      a.serveFile,
		"GET" + one:                 a.serveFile,
		"GET " + apiRoot + "/files": a.refuseFile,
		http.MethodPost + one:       a.refuseFile,
		http.MethodDelete + one:     a.refuseFile,
	}
}

// refuseFile answers what is not done with files here.
func (a *api) refuseFile(w http.ResponseWriter, r *http.Request) {
	e := model.Errorf(model.Unsupported, "files are neither listed nor uploaded here: plugins bring theirs, at /files/plugin_providers/NAME/").On("files", r.PathValue("path"))
	e.Type = wordOf(r, "-")
	w.Header().Set("Connection", "close") // the body may be long, and is not read
	a.write(w, r, failure(e))
}

// openFile opens a regular file below a directory.
func openFile(dir, name string) (*os.File, fs.FileInfo, error) {
	if !filepath.IsLocal(name) || strings.HasPrefix(name, ".") || strings.Contains(name, "/.") {
		return nil, nil, fs.ErrNotExist
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, nil, err
	}
	defer func() { _ = root.Close() }() // it was only read
	info, err := root.Stat(name)
	if err != nil {
		return nil, nil, err
	}
	if !info.Mode().IsRegular() { // before it is opened: a pipe would block
		return nil, nil, fs.ErrNotExist
	}
	f, err := root.Open(name)
	return f, info, err
}
