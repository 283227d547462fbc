package packet

import (
	"net/url"
	"slices"
	"strconv"
	"strings"
)

// The sizes of pages.
const (
	defaultPage = 10
	maxPage     = 1000
)

// object is a JSON object as it is told.
type object = map[string]any

// href is a link.
func href(path string) object { return object{"href": path} }

// paged answers a list a page at a time.
func (c *call) paged(name string, items []object) reply {
	return paged(c, name, items, func(o object) object { return o })
}

// paged answers a list of what is told only if it is on the page.
func paged[T any](c *call, name string, items []T, tell func(T) object) reply {
	query := c.r.URL.Query()
	page := number(query.Get("page"), 1)
	per := min(number(query.Get("per_page"), defaultPage), maxPage)
	last := max((len(items)+per-1)/per, 1)
	link := func(n int) object {
		q := cloneQuery(query)
		q.Set("page", strconv.Itoa(n))
		return href(c.r.URL.Path + "?" + q.Encode())
	}
	meta := object{
		"first": link(1), "last": link(last), "self": link(page), "next": nil, "previous": nil,
		"total": len(items), "current_page": page, "last_page": last,
	}
	if page < last {
		meta["next"] = link(page + 1)
	}
	if page > 1 {
		meta["previous"] = link(page - 1)
	}
	from := min((page-1)*per, len(items))
	out := []object{}
	for _, item := range items[from:min(from+per, len(items))] {
		out = append(out, tell(item))
	}
	return ok(object{name: out, "meta": meta})
}

// cloneQuery copies a query.
func cloneQuery(q url.Values) url.Values {
	out := make(url.Values, len(q))
	for name, values := range q {
		out[name] = slices.Clone(values)
	}
	return out
}

// number reads a positive number of a query; another is def.
func number(text string, def int) int {
	n, err := strconv.Atoi(text)
	if err != nil || n < 1 || n > 1_000_000 {
		return def
	}
	return n
}

// shape leaves sub-resources of an object as links, or has them whole: whole are
// those that are so by themselves and those that the query includes, without those
// it excludes.
func (c *call) shape(obj object, links map[string]string, byItself ...string) object {
	query := c.r.URL.Query()
	include, exclude := words(query.Get("include")), words(query.Get("exclude"))
	for name, path := range links {
		whole := slices.Contains(byItself, name) || slices.Contains(include, name)
		if !whole || slices.Contains(exclude, name) {
			obj[name] = href(path)
		}
	}
	return obj
}

// words are the first steps of the names of a comma list.
func words(text string) []string {
	var out []string
	for word := range strings.SplitSeq(text, ",") {
		first, _, _ := strings.Cut(strings.TrimSpace(word), ".")
		out = append(out, first)
	}
	return out
}
