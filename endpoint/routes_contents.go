package endpoint

import (
	"encoding/json"
	"net/http"

	"provision-plugins/endpoint/query"
	"provision-plugins/shared/model"
)

// contentRoutes are those of content layers.
func (a *api) contentRoutes() []route {
	list := []route{
		{"GET /contents", listed(func(query.List) ([]json.RawMessage, error) { return a.contents.list() })},
		{"GET /contents/{key}", func(r *http.Request) (*reply, error) {
			bundle, err := a.contents.show(r.PathValue("key"), decode(r))
			return ok(bundle), err
		}},
		{"POST /contents", func(r *http.Request) (*reply, error) {
			made, err := a.putContent(r)
			return &reply{status: http.StatusCreated, body: made}, err
		}},
		{"PUT /contents/{key}", func(r *http.Request) (*reply, error) {
			made, err := a.putContent(r)
			return ok(made), err
		}},
		{"DELETE /contents/{key}", func(r *http.Request) (*reply, error) {
			was, err := a.contents.remove(r.Context(), r.PathValue("key"))
			return ok(was), err
		}},
	}
	for i, row := range list {
		list[i].handle = worded(contentsPrefix, row.handle)
	}
	return list
}

// putContent takes an upload of content, new or in place of what is there.
func (a *api) putContent(r *http.Request) (*model.ContentSummary, error) {
	return a.contents.put(r.Context(), change{
		name: r.PathValue("key"), body: body(r), replace: r.URL.Query().Get("replaceWritable") == "true",
	})
}
