package endpoint

import (
	"encoding/json"
	"net/url"
	"slices"
	"sort"
	"strconv"
	"strings"

	"provision-plugins/shared/model"
)

// filter selects objects whose field, or param of that name, has a value.
type filter struct{ field, value string }

// notFilters are the query parameters of lists that select nothing.
var notFilters = [...]string{"slim", "params", "decode", "aggregate", "force", "compose", "sort", "reverse", "limit", "offset"}

// listing is what a caller wants of a list.
type listing struct {
	filters       []filter
	sort          string // the field to sort by; empty: as the list comes
	reverse       bool
	offset, limit int // limit 0 means all
}

// listingOf reads a listing from a query.
func listingOf(query url.Values) (listing, error) {
	l := listing{filters: filtersOf(query), sort: query.Get("sort"), reverse: query.Get("reverse") == "true"}
	var err error
	if l.limit, err = numberOf(query, "limit", 1); err != nil {
		return l, err
	}
	l.offset, err = numberOf(query, "offset", 0)
	return l, err
}

// numberOf reads a number of at least least; 0 if it is not given.
func numberOf(query url.Values, name string, least int) (int, error) {
	text := query.Get(name)
	if text == "" {
		return 0, nil
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < least {
		return 0, model.Errorf(model.Invalid, "%s=%q: want a number from %d", name, text, least)
	}
	return n, nil
}

// of returns the objects that the caller wants, and how many the filters
// selected. The objects are those that are shown, so that a filter cannot probe
// for a secret.
func (l listing) of(all []json.RawMessage) (page []json.RawMessage, count int, err error) {
	page, err = selected(all, l.filters)
	if err != nil {
		return nil, 0, err
	}
	count = len(page)
	if err := l.order(page); err != nil {
		return nil, 0, err
	}
	page = page[min(l.offset, count):]
	if l.limit > 0 && len(page) > l.limit {
		page = page[:l.limit]
	}
	return page, count, nil
}

// order sorts a list as the caller wants it.
func (l listing) order(list []json.RawMessage) error {
	if l.sort != "" {
		keys := make(map[*byte]string, len(list))
		for _, raw := range list {
			var object map[string]any
			if err := model.Unmarshal(raw, &object); err != nil {
				return err
			}
			text, _ := object[l.sort].(string)
			keys[&raw[0]] = text
		}
		slices.SortStableFunc(list, func(a, b json.RawMessage) int { return strings.Compare(keys[&a[0]], keys[&b[0]]) })
	}
	if l.reverse {
		slices.Reverse(list)
	}
	return nil
}

// filtersOf reads filters from a query: Field=value or Field=Eq(value).
func filtersOf(query url.Values) []filter {
	var out []filter
	for field, values := range query {
		if slices.Contains(notFilters[:], field) {
			continue
		}
		for _, v := range values {
			if inner, ok := strings.CutPrefix(v, "Eq("); ok {
				v = strings.TrimSuffix(inner, ")")
			}
			out = append(out, filter{field, v})
		}
	}
	sort.Slice(out, func(i, j int) bool { return out[i].field < out[j].field })
	return out
}

// onlyName returns the value of a lone filter by Name, which has an index.
func onlyName(filters []filter) (string, bool) {
	if len(filters) == 1 && filters[0].field == "Name" {
		return filters[0].value, true
	}
	return "", false
}

// selected returns the objects that all filters select.
func selected(all []json.RawMessage, filters []filter) ([]json.RawMessage, error) {
	out := make([]json.RawMessage, 0, len(all))
	for _, raw := range all {
		ok, err := matches(raw, filters)
		if err != nil {
			return nil, err
		}
		if ok {
			out = append(out, raw)
		}
	}
	return out, nil
}

// matches reports whether all filters select the object.
func matches(raw json.RawMessage, filters []filter) (bool, error) {
	if len(filters) == 0 {
		return true, nil
	}
	var object map[string]any
	if err := model.Unmarshal(raw, &object); err != nil {
		return false, err
	}
	for _, f := range filters {
		value, ok := object[f.field]
		if !ok {
			params, _ := object["Params"].(map[string]any)
			value = params[f.field]
		}
		if !equalText(value, f.value) {
			return false, nil
		}
	}
	return true, nil
}

// equalText compares a JSON value with the text of a query.
func equalText(value any, text string) bool {
	switch t := value.(type) {
	case nil:
		return text == ""
	case string:
		return t == text
	case []any:
		for _, e := range t {
			if equalText(e, text) {
				return true
			}
		}
		return false
	}
	raw, err := model.Marshal(value)
	return err == nil && string(raw) == text
}
