package metal

import (
	"context"
	"encoding/json"
	"net/http"

	"github.com/packethost/packngo"

	"provision-plugins/shared/model"
)

// pageSize is how many items are asked for at a time: the most that the prose of the
// API allows.
const pageSize = 100

// page is one page of a list. What comes after it is told in one way or another:
// packngo follows next, and asks for its first page for ever where current_page is
// missing.
type page struct {
	raw  map[string]json.RawMessage
	meta struct {
		Next  *packngo.Href `json:"next"`
		Total *int          `json:"total"`
		Last  int           `json:"last_page"`
	}
}

// UnmarshalJSON reads the parts.
func (p *page) UnmarshalJSON(data []byte) error {
	if err := json.Unmarshal(data, &p.raw); err != nil {
		return err
	}
	if raw, ok := p.raw["meta"]; ok {
		return json.Unmarshal(raw, &p.meta)
	}
	return nil
}

// more reports whether there are pages after number n.
func (p *page) more(n int) bool {
	return p.meta.Last > n || p.meta.Last == 0 && p.meta.Next != nil
}

// list is a list to read: its path, the name of its list, and what tells its items
// apart.
type list[T any] struct {
	task    task
	path    string
	name    string
	id      func(*T) string
	options packngo.ListOptions
}

// all reads a list, all of its pages, or fails: who decides by what is missing in a
// list must have it whole.
func all[T any](ctx context.Context, k *Key, l list[T]) ([]T, error) {
	var out []T
	seen := map[string]bool{}
	for n := 1; ; n++ {
		p, items, err := one(ctx, k, l, n)
		if err != nil {
			return nil, err
		}
		fresh := 0
		for _, item := range items {
			if id := l.id(&item); !seen[id] {
				seen[id] = true
				out = append(out, item)
				fresh++
			}
		}
		switch {
		case p.more(n) && fresh > 0 && n < k.client.opts.Pages:
		case p.more(n):
			return nil, l.incomplete("its pages do not end")
		case p.meta.Total != nil && len(out) < *p.meta.Total:
			return nil, l.incomplete("it is shorter than the API says")
		default:
			return out, nil
		}
	}
}

// one reads a page.
func one[T any](ctx context.Context, k *Key, l list[T], n int) (page, []T, error) {
	var p page
	var items []T
	o := l.options
	o.Page, o.PerPage = n, pageSize
	t := l.task
	t.send = func(c *packngo.Client) error {
		p, items = page{}, nil
		if _, err := c.DoRequest(http.MethodGet, o.WithQuery(l.path), nil, &p); err != nil {
			return err
		}
		raw, ok := p.raw[l.name]
		if !ok {
			return errNotJSON
		}
		return json.Unmarshal(raw, &items)
	}
	err := k.do(ctx, t)
	return p, items, err
}

// incomplete is the error of a list that cannot be had whole.
func (l list[T]) incomplete(why string) error {
	return model.Errorf(model.Unreachable, "%s: the list of the API is not whole: %s", l.task.name, why)
}
