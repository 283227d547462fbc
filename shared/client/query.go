package client

import (
	"errors"
	"net/url"
	"strconv"
	"strings"
)

// Compare is how a filter compares.
type Compare string

// The comparisons of v4 endpoints. In and Nin take a list of values, Between and
// Except two. An endpoint may have fewer: ours says which it does not.
const (
	AsGiven Compare = "" // the value is sent as it is, and may itself name a comparison
	Eq      Compare = "Eq"
	Ne      Compare = "Ne"
	Lt      Compare = "Lt"
	Lte     Compare = "Lte"
	Gt      Compare = "Gt"
	Gte     Compare = "Gte"
	Re      Compare = "Re"
	In      Compare = "In"
	Nin     Compare = "Nin"
	Between Compare = "Between"
	Except  Compare = "Except"
)

// Filter selects the objects whose field, or param of that name, compares with
// the values.
type Filter struct {
	Field  string
	By     Compare
	Values []string
}

// Where is a filter by one comparison.
func Where(field string, by Compare, values ...string) Filter { return Filter{field, by, values} }

// Query says which objects a list has, and in which order. The zero Query asks
// for all.
type Query struct {
	Filters []Filter // all must hold
	Sort    string   // field to sort by; "" leaves the order to the endpoint
	Reverse bool
	Limit   int // at most so many; 0 means all
	Offset  int // leaves out so many of the first
	// Without are fields that are left out of each object, and Params, unless nil,
	// the only params that are in it. Other endpoints than ours may send all.
	Without, Params []string
}

// errNoCount is what an endpoint gets that does not count.
var errNoCount = errors.New("no count in header " + countHeader)

// suffix renders the query to stand after a path.
func (q Query) suffix() string {
	values := url.Values{}
	for _, f := range q.Filters {
		values.Add(f.Field, f.text())
	}
	if q.Sort != "" {
		values.Set("sort", q.Sort)
	}
	if q.Reverse {
		values.Set("reverse", "true")
	}
	for name, list := range map[string][]string{"slim": q.Without, "params": q.Params} {
		if len(list) > 0 {
			values.Set(name, strings.Join(list, ","))
		}
	}
	for name, n := range map[string]int{"limit": q.Limit, "offset": q.Offset} {
		if n > 0 {
			values.Set(name, strconv.Itoa(n))
		}
	}
	if len(values) == 0 {
		return ""
	}
	return "?" + values.Encode()
}

// text renders what the field is compared with.
func (f Filter) text() string {
	joined := strings.Join(f.Values, ",")
	if f.By == AsGiven {
		return joined
	}
	return string(f.By) + "(" + joined + ")"
}
