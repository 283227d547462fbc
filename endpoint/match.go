package endpoint

import (
	"context"
	"net/http"
	"strconv"
	"strings"

	"provision-plugins/endpoint/store"
	"provision-plugins/shared/model"
)

// matchKey is where a context keeps a request's If-Match.
type matchKey struct{}

// matching has a handler's changes be made only of what If-Match names
// (RFC 9110 §13.1.1), and its answer to one have the tag of what was written.
func matching(h handle) handle {
	return func(r *http.Request) (*reply, error) {
		if given := r.Header.Values("If-Match"); len(given) > 0 {
			r = r.WithContext(context.WithValue(r.Context(), matchKey{}, strings.Join(given, ",")))
		}
		written := ""
		rep, err := h(r.WithContext(context.WithValue(r.Context(), writtenKey{}, &written)))
		if err == nil && rep.tag == "" {
			rep.tag = written
		}
		return rep, err
	}
}

// writtenKey is where a context keeps the tag of what its request has written.
type writtenKey struct{}

// noteTag tells who answers a request the tag of what it has written, where the
// revision is all that there is to an object.
func noteTag(ctx context.Context, k *kind, written store.Object) {
	if tag, ok := ctx.Value(writtenKey{}).(*string); ok && k.prefix != "plugins" {
		*tag = revisionTag(written)
	}
}

// matches refuses a change of an object that is not the one that the request's
// If-Match names. A weak tag names none: the comparison is strong.
func (o *objects) matches(ctx context.Context, k *kind, found store.Object) error {
	wanted, given := ctx.Value(matchKey{}).(string)
	if !given {
		return nil
	}
	tag := revisionTag(found)
	if k.prefix == "plugins" {
		shown, err := o.show(k, found, false)
		if err != nil {
			return err
		}
		tag = sealOf(shown)
	}
	for one := range strings.SplitSeq(wanted, ",") {
		if one = strings.TrimSpace(one); one == tag || one == "*" {
			return nil
		}
	}
	e := model.Errorf(model.Conflict, "Precondition failed: it is not, or no longer, what If-Match names; read it again").On(k.prefix, found.ID)
	e.Code = http.StatusPreconditionFailed
	return e
}

// revisionTag is the tag of a stored object.
func revisionTag(found store.Object) string { return `"` + strconv.FormatUint(found.Rev, 10) + `"` }
