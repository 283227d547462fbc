package redfish

import (
	"net/http"
	"path"
)

// medium is what is in a virtual medium (VirtualMedia).
type medium struct {
	image               string
	inserted, protected bool
	bootsNext           bool   // the next start boots it
	ejected             string // the image that was in it before
}

// mediumID is the Id of the medium that a resource is.
func (r *resource) mediumID() string { return path.Base(r.path) }

// setMedium puts an image into a medium, or takes it out.
func (b *BMC) setMedium(x *exchange, m medium) {
	if b.media == nil {
		b.media = map[string]medium{}
	}
	b.media[x.on.mediumID()] = m
}

// insertMedia is the action VirtualMedia.InsertMedia, and those like it.
func (x *exchange) insertMedia() answer {
	if _, ok := x.body["Image"]; !ok {
		return x.fail(http.StatusBadRequest, msgMissing, "Image")
	}
	e := &edit{x: x}
	if x.b.media[x.on.mediumID()].image != "" {
		return x.fail(http.StatusConflict, msgInUse)
	}
	if bad := setImage(e, x.body["Image"]); bad != nil || e.medium.image == "" {
		return x.fail(http.StatusBadRequest, msgAddress, shown(x.body["Image"]), "Image")
	}
	if v, ok := x.body["WriteProtected"]; ok {
		if bad := setFlag(&e.medium.protected, v); bad != nil {
			return x.fail(http.StatusBadRequest, *bad, shown(v), "WriteProtected")
		}
	}
	return x.run("insert media", x.b.fleet.dialect.action, func() { x.b.setMedium(x, e.medium) })
}

// ejectMedia is the action VirtualMedia.EjectMedia, and those like it.
func (x *exchange) ejectMedia() answer {
	return x.run("eject media", x.b.fleet.dialect.action, func() { x.b.setMedium(x, medium{ejected: x.b.media[x.on.mediumID()].image}) })
}
