package endpoint

import (
	"encoding/json"
	"net/url"
	"slices"
	"sort"
	"strings"

	"provision-plugins/shared/model"
)

// filter selects objects whose field, or param of that name, has a value.
type filter struct{ field, value string }

// notFilters are the query parameters of lists that select nothing.
var notFilters = [...]string{"slim", "params", "decode", "aggregate", "force", "compose"}

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

// selected returns the objects that all filters select. The objects are those
// that are shown, so a filter cannot probe for a secret.
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
