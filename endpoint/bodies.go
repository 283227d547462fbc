package endpoint

import (
	"net/http"

	"provision-plugins/shared/model"
)

// bodyBound bounds the body of a request, in bytes.
const bodyBound = 1 << 20

// largeBodies are the routes whose bodies may be larger than bodyBound: they carry
// more than one object. Uploads of plugins are no JSON, and bounded where they are
// taken.
var largeBodies = map[string]int64{
	"POST " + apiRoot + "/contents":      model.MaxBody, // a bundle
	"PUT " + apiRoot + "/contents/{key}": model.MaxBody,
	readsPattern:                         model.MaxBody, // the keys of a whole fleet
}

// boundOf is the bound of a body on a route.
func boundOf(pattern string) int64 {
	if large, ok := largeBodies[pattern]; ok {
		return large
	}
	return bodyBound
}

// tooLarge is the refusal of a body that is larger than its bound.
func tooLarge(bound int64) error {
	e := model.Errorf(model.Invalid, "cannot read body: larger than %d MiB, which is %d bytes", bound>>20, bound)
	e.Code = http.StatusRequestEntityTooLarge
	return e
}
