package slack

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strconv"
)

// File is a file that was uploaded.
type File struct {
	// ID names it, as "F1".
	ID string

	// Name and Title are what people see.
	Name, Title string

	// Content is what is in it.
	Content string

	size     int  // what the app said it would be
	uploaded bool // its content came
	shared   bool // it is in a message
}

// uploadURL answers with where a file can be uploaded to.
func (s *Server) uploadURL(form url.Values) map[string]any {
	size, err := strconv.Atoi(form.Get("length"))
	if form.Get("filename") == "" || err != nil || size < 1 {
		return refuse("invalid_arguments")
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.seq++
	f := &File{ID: fmt.Sprintf("F%d", s.seq), Name: form.Get("filename"), Title: form.Get("filename"), size: size}
	s.files = append(s.files, f)
	return map[string]any{"ok": true, "file_id": f.ID, "upload_url": "http://" + s.addr + "/upload/" + f.ID}
}

// serveUpload takes the content of a file: all of the body, or the one file of a
// form.
func (s *Server) serveUpload(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	s.calls["upload"]++
	s.mu.Unlock()
	if f, faulty := s.nextFault("upload"); faulty {
		s.meet(w, r, f, func() map[string]any { return map[string]any{"ok": true} })
		return
	}
	r.Body = http.MaxBytesReader(w, r.Body, maxBody)
	var from io.Reader = r.Body
	if err := r.ParseMultipartForm(maxBody); err == nil {
		for _, headers := range r.MultipartForm.File {
			if f, err := headers[0].Open(); err == nil {
				defer f.Close()
				from = f
			}
		}
	}
	content, err := io.ReadAll(from)
	if err != nil {
		http.Error(w, "cannot read the file", http.StatusBadRequest)
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	i := slices.IndexFunc(s.files, func(f *File) bool { return f.ID == r.PathValue("file") && !f.uploaded })
	if i < 0 {
		http.Error(w, "no upload is expected here", http.StatusNotFound)
		return
	}
	f := s.files[i]
	if len(content) != f.size {
		s.complain("file %s was said to have %d bytes and has %d", f.ID, f.size, len(content))
	}
	f.Content, f.uploaded = string(content), true
	fmt.Fprintf(w, "OK - %d", len(content))
}

// completeUpload shares files that were uploaded in a channel or a thread.
func (s *Server) completeUpload(form url.Values) map[string]any {
	var asked []struct{ ID, Title string }
	if json.Unmarshal([]byte(form.Get("files")), &asked) != nil || len(asked) == 0 {
		return refuse("invalid_arguments")
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	shared, told := []*File{}, []any{}
	for _, a := range asked {
		i := slices.IndexFunc(s.files, func(f *File) bool { return f.ID == a.ID && f.uploaded && !f.shared })
		if i < 0 {
			return refuse("file_not_found")
		}
		f := s.files[i]
		if a.Title != "" {
			f.Title = a.Title
		}
		shared = append(shared, f)
		told = append(told, map[string]any{"id": f.ID, "title": f.Title})
	}
	if code := s.share(form, shared); code != "" {
		return refuse(code)
	}
	return map[string]any{"ok": true, "files": told}
}

// share posts files as a message, if the call names a channel. It is called with
// mu held.
func (s *Server) share(form url.Values, files []*File) (code string) {
	if id := form.Get("channel_id"); id != "" {
		c, code := s.writable(url.Values{"channel": {id}})
		if code != "" {
			return code
		}
		m := &Message{Channel: c.ID, Text: form.Get("initial_comment"), ThreadTS: form.Get("thread_ts"), TS: s.nextTS()}
		if m.ThreadTS != "" && s.find(c.ID, m.ThreadTS) == nil {
			return "invalid_thread_ts"
		}
		for _, f := range files {
			m.Files = append(m.Files, *f)
		}
		s.messages = append(s.messages, m)
		s.changedNow()
	}
	for _, f := range files {
		f.shared = true
	}
	return ""
}

// object is a file as the API tells it.
func (f File) object() map[string]any {
	return map[string]any{"id": f.ID, "name": f.Name, "title": f.Title, "size": len(f.Content), "mode": "snippet", "filetype": "text", "mimetype": "text/plain"}
}
