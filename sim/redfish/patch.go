package redfish

import (
	"maps"
	"net/http"
	"slices"
	"strings"
)

// edit is what a PATCH changes, before it is sure that all of it can be.
type edit struct {
	x       *exchange
	machine machine
	led     string
	account account
	medium  medium
	free    map[string]any // what means nothing here and is kept
}

// setter sets one property, or says what is wrong with the value.
type setter func(e *edit, value any) *message

// patches are the resources that can be patched, by the name in their templates:
// their properties, how it counts, and what it is written back to.
var patches = map[string]struct {
	name func(x *exchange) string
	set  map[string]setter
	keep func(e *edit)
}{
	"system": {
		name: func(x *exchange) string {
			if _, ok := x.body["Boot"]; ok {
				return "set boot"
			}
			return "led"
		},
		set: map[string]setter{
			"Boot/BootSourceOverrideEnabled": setBootEnabled,
			"Boot/BootSourceOverrideTarget":  setBootTarget,
			"Boot/BootSourceOverrideMode":    setBootMode,
			"IndicatorLED":                   func(e *edit, v any) *message { return setLED(e, &e.machine.led, v) },
			"LocationIndicatorActive":        func(e *edit, v any) *message { return setLocation(&e.machine.led, v) },
			"AssetTag":                       nil,
			"PowerRestorePolicy":             setPolicy,
		},
		keep: keepSystem,
	},
	"chassis": {
		name: func(*exchange) string { return "led" },
		set: map[string]setter{
			"IndicatorLED":            func(e *edit, v any) *message { return setLED(e, &e.led, v) },
			"LocationIndicatorActive": func(e *edit, v any) *message { return setLocation(&e.led, v) },
			"AssetTag":                nil,
		},
		keep: func(e *edit) { e.x.b.led = e.led },
	},
	"account": {
		name: func(*exchange) string { return "set account" },
		set: map[string]setter{
			"UserName": func(e *edit, v any) *message { return setText(&e.account.name, v) },
			"Password": func(e *edit, v any) *message { return setText(&e.account.password, v) },
			"RoleId":   setRole,
			"Enabled":  func(e *edit, v any) *message { return setFlag(&e.account.enabled, v) },
			"Locked":   func(*edit, any) *message { return nil },
		},
		keep: func(e *edit) { *e.x.b.accountByID(e.x.id) = e.account },
	},
	"media": {
		name: func(x *exchange) string {
			if x.body["Image"] == nil || x.body["Image"] == "" {
				return "eject media"
			}
			return "insert media"
		},
		set: map[string]setter{
			"Image":                         setImage,
			"Inserted":                      func(e *edit, v any) *message { return setFlag(&e.medium.inserted, v) },
			"WriteProtected":                func(e *edit, v any) *message { return setFlag(&e.medium.protected, v) },
			"Oem/Hpe/BootOnNextServerReset": setBootsNext,
		},
		keep: func(e *edit) { e.x.b.setMedium(e.x, e.medium) },
	},
	"bios": {
		name: func(*exchange) string { return "set bios" },
		set:  map[string]setter{"Attributes": nil},
		keep: func(*edit) {},
	},
	"secureboot": {
		name: func(*exchange) string { return "set secure boot" },
		set:  map[string]setter{"SecureBootEnable": nil},
		keep: func(*edit) {},
	},
}

// patch changes properties of a resource: all that are named, or none.
func (x *exchange) patch() answer {
	table, ok := patches[x.on.patch]
	if !ok || x.action != "" {
		return x.wrongMethod()
	}
	if bad := x.precondition(); bad != nil {
		return *bad
	}
	tree := x.view().show(x.on, x.id)
	e, all := x.newEdit(), leaves(nil, x.body, table.set)
	if len(all) == 0 {
		return x.fail(http.StatusBadRequest, msgNothing)
	}
	for _, leaf := range all {
		if bad := e.apply(leaf, table.set, tree); bad != nil {
			return *bad
		}
	}
	d := x.b.fleet.dialect
	a := x.run(table.name(x), d.patch, func() {
		table.keep(e)
		x.b.keep(x.on.kind, e.free)
	})
	if a.status == http.StatusOK && d.patched {
		a.body, a.tag = x.view().show(x.on, x.id), true
	}
	return a
}

// keepSystem writes a system back, past what the dialect and faults do to a boot
// override.
func keepSystem(e *edit) {
	b := e.x.b
	override, _ := e.x.body["Boot"].(map[string]any)
	if _, told := override["BootSourceOverrideMode"]; override != nil && !told && b.fleet.dialect.forgetsMode {
		e.machine.boot.mode = b.fleet.dialect.mode
	}
	if b.faults.ForgetsBoot {
		e.machine.boot = b.machines[e.x.system].boot
	}
	b.machines[e.x.system].boot, b.machines[e.x.system].led = e.machine.boot, e.machine.led
}

// newEdit starts from what is so now.
func (x *exchange) newEdit() *edit {
	e := &edit{x: x, led: x.b.led, free: map[string]any{}}
	switch x.on.patch {
	case "system":
		e.machine = *x.b.machine(x.system)
	case "account":
		e.account = *x.b.accountByID(x.id)
	case "media":
		e.medium = x.b.media[x.on.mediumID()]
	}
	return e
}

// precondition refuses a change of a resource that is another by now (DSP0266
// §7.6), or that may be.
func (x *exchange) precondition() *answer {
	match := x.r.Header.Get("If-Match")
	if match == "" {
		if x.b.faults.NeedsETag || x.b.fleet.dialect.needsETag {
			a := x.fail(http.StatusPreconditionRequired, msgNoIfMatch)
			return &a
		}
		return nil
	}
	tag, _ := tagOf(x.view().show(x.on, x.id))
	if match == "*" || match == tag {
		return nil
	}
	a := x.fail(http.StatusPreconditionFailed, msgPrecondition)
	return &a
}

// leaf is one property of a PATCH.
type leaf struct {
	path  []string
	value any
}

// name is the key of a leaf among the setters.
func (l leaf) name() string { return strings.Join(l.path, "/") }

// leaves lists the properties of a body, in order of their names, down to those
// that have a setter.
func leaves(above []string, body map[string]any, set map[string]setter) []leaf {
	var all []leaf
	for _, key := range slices.Sorted(maps.Keys(body)) {
		l := leaf{append(slices.Clone(above), key), body[key]}
		inner, isObject := l.value.(map[string]any)
		_, settable := set[l.name()]
		if isObject && len(inner) > 0 && !settable && len(l.path) < maxDepth {
			all = append(all, leaves(l.path, inner, set)...)
		} else {
			all = append(all, l)
		}
	}
	return all
}

// maxDepth is how deep the properties of a PATCH may lie.
const maxDepth = 8

// apply sets one property, or answers why it cannot be set.
func (e *edit) apply(l leaf, set map[string]setter, tree map[string]any) *answer {
	do, settable := set[l.name()]
	refuse := func(m message, args ...string) *answer {
		a := e.x.fail(http.StatusBadRequest, m, args...)
		return &a
	}
	switch {
	case !has(tree, l.path):
		return refuse(msgUnknown, l.name())
	case !settable:
		return refuse(msgReadOnly, l.name())
	case do == nil:
		e.hold(l)
		return nil
	}
	if wrong := do(e, l.value); wrong != nil {
		if wrong.id == msgReadOnly.id {
			return refuse(*wrong, l.name())
		}
		return refuse(*wrong, shown(l.value), l.name())
	}
	return nil
}

// has reports whether a tree has a property.
func has(tree map[string]any, at []string) bool {
	for i, key := range at {
		v, ok := tree[key]
		if !ok || i == len(at)-1 {
			return ok
		}
		if tree, ok = v.(map[string]any); !ok {
			return false
		}
	}
	return false
}

// hold remembers a property that means nothing here.
func (e *edit) hold(l leaf) {
	at := e.free
	for _, key := range l.path[:len(l.path)-1] {
		inner, ok := at[key].(map[string]any)
		if !ok {
			inner = map[string]any{}
			at[key] = inner
		}
		at = inner
	}
	at[l.path[len(l.path)-1]] = l.value
}
