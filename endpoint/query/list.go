package query

import (
	"net/url"
	"slices"
	"strconv"
	"strings"

	"provision-plugins/shared/model"
)

// notFilters are the query parameters that select nothing.
var notFilters = map[string]bool{
	"aggregate": true, "compose": true, "decode": true, "force": true, "limit": true, "offset": true, "params": true, "plugin": true,
	"reverse": true, "slim": true, "sort": true, "token": true,
}

// maxTerms bounds the filters and the sort fields of one request.
const maxTerms = 100

// All is a limit that there is not.
const All = -1

// List is what a caller wants of a list.
type List struct {
	// Filters that all must select an object.
	Filters []Filter
	// Sort names the fields to sort by; without any the objects stay in the
	// order of their keys.
	Sort []string
	// Reverse turns the order round.
	Reverse bool
	// Offset objects are left out, and then at most Limit given.
	Offset, Limit int
}

// Parse reads a list's query.
func Parse(query url.Values) (List, error) {
	l := List{Reverse: query.Get("reverse") == "true", Limit: All}
	for _, given := range query["sort"] {
		l.Sort = append(l.Sort, strings.Split(given, ",")...)
	}
	if text := query.Get("limit"); text != "" {
		n, err := countOf("Limit", text)
		if err != nil {
			return l, err
		}
		l.Limit = n
	}
	if text := query.Get("offset"); text != "" {
		n, err := countOf("Offset", text)
		if err != nil {
			return l, err
		}
		l.Offset = n
	}
	err := l.takeFilters(query)
	if err == nil && len(l.Filters)+len(l.Sort) > maxTerms {
		err = model.Errorf(model.Invalid, "%d filters and sort fields, at most %d are allowed", len(l.Filters)+len(l.Sort), maxTerms)
	}
	return l, err
}

// takeFilters reads the filters, in the order of their fields.
func (l *List) takeFilters(query url.Values) error {
	for field, values := range query {
		if notFilters[field] {
			continue
		}
		for _, v := range values {
			f, err := newFilter(field, v)
			if err != nil {
				return err
			}
			l.Filters = append(l.Filters, f)
		}
	}
	slices.SortStableFunc(l.Filters, func(a, b Filter) int { return strings.Compare(a.Field, b.Field) })
	return nil
}

// countOf reads a number that is not negative.
func countOf(what, text string) (int, error) {
	n, err := strconv.Atoi(text)
	if err != nil {
		return 0, model.Errorf(model.Invalid, "%s %.40q is not a number", what, text)
	}
	if n < 0 {
		return 0, model.Errorf(model.Invalid, "%s cannot be negative", what)
	}
	return n, nil
}

// Fields lists the fields that the query looks at, filters first.
func (l List) Fields() []string {
	out := make([]string, 0, len(l.Filters)+len(l.Sort))
	for _, f := range l.Filters {
		out = append(out, f.Field)
	}
	return append(out, l.Sort...)
}

// Select returns the objects that the caller wants, and how many the filters
// selected before the page was cut.
func (t *Table[T]) Select(l List, objects []*T, c Columns[T]) (page []*T, count int) {
	var chosen []int
	t.with(objects, l.Fields(), c, func(columns [][]value) {
		chosen = l.filter(len(objects), columns)
		count = len(chosen)
		l.order(chosen, columns[len(l.Filters):])
	})
	chosen = chosen[min(l.Offset, count):]
	if l.Limit != All {
		chosen = chosen[:min(l.Limit, len(chosen))]
	}
	page = make([]*T, len(chosen))
	for i, at := range chosen {
		page[i] = objects[at]
	}
	return page, count
}

// filter returns the places of the objects that all filters select.
func (l List) filter(n int, columns [][]value) []int {
	if len(l.Filters) == 0 {
		all := make([]int, n)
		for i := range all {
			all[i] = i
		}
		return all
	}
	var out []int
	for i, v := range columns[0] {
		if l.Filters[0].selects(v) {
			out = append(out, i)
		}
	}
	for f, filter := range l.Filters[1:] {
		values := columns[f+1]
		out = slices.DeleteFunc(out, func(at int) bool { return !filter.selects(values[at]) })
	}
	return out
}

// order sorts places by the columns of the sort fields.
func (l List) order(places []int, columns [][]value) {
	if len(columns) > 0 {
		slices.SortStableFunc(places, func(a, b int) int {
			for _, values := range columns {
				if order := compare(values[a], values[b]); order != 0 {
					return order
				}
			}
			return 0
		})
	}
	if l.Reverse {
		slices.Reverse(places)
	}
}
