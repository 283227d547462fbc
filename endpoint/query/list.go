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

// Fields lists the fields that the query looks at.
func (l List) Fields() []string {
	out := slices.Clone(l.Sort)
	for _, f := range l.Filters {
		out = append(out, f.Field)
	}
	return out
}

// Row is one object of a list: its encoding, and what was read of it.
type Row struct {
	// Object is the encoded object; it must be valid JSON.
	Object []byte
	// Cells keeps what was read of the object; nil: nothing is kept.
	Cells *Cells
}

// Select returns the rows that the caller wants, and how many the filters
// selected before the page was cut. Rows come in the order of their keys.
func (l List) Select(rows []Row, c Columns) (page []Row, count int) {
	page = l.filter(rows, c)
	count = len(page)
	if len(l.Sort) > 0 {
		page = l.sorted(page, c)
	}
	if l.Reverse {
		page = slices.Clone(page)
		slices.Reverse(page)
	}
	page = page[min(l.Offset, len(page)):]
	if l.Limit != All {
		page = page[:min(l.Limit, len(page))]
	}
	return page, count
}

// filter returns the rows that all filters select.
func (l List) filter(rows []Row, c Columns) []Row {
	if len(l.Filters) == 0 {
		return rows
	}
	columns := make([]int, len(l.Filters))
	for i, f := range l.Filters {
		columns[i] = c.Book.column(f.Field)
	}
	out := []Row{}
	for _, r := range rows {
		wanted := true
		for i := 0; wanted && i < len(l.Filters); i++ {
			wanted = l.Filters[i].selects(c.value(r, columns[i], l.Filters[i].Field))
		}
		if wanted {
			out = append(out, r)
		}
	}
	return out
}

// sorted returns the rows in the order of the sort fields.
func (l List) sorted(rows []Row, c Columns) []Row {
	type keyed struct {
		row  Row
		keys []value
	}
	all := make([]keyed, len(rows))
	for i, r := range rows {
		keys := make([]value, len(l.Sort))
		for j, field := range l.Sort {
			keys[j] = c.value(r, c.Book.column(field), field)
		}
		all[i] = keyed{r, keys}
	}
	slices.SortStableFunc(all, func(a, b keyed) int {
		for j := range a.keys {
			if order := compare(a.keys[j], b.keys[j]); order != 0 {
				return order
			}
		}
		return 0
	})
	out := make([]Row, len(all))
	for i, k := range all {
		out[i] = k.row
	}
	return out
}
