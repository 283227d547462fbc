package redfish

import (
	"crypto/sha256"
	"fmt"
	"strings"
	"time"
)

// value is something in a resource that is not the same always, or for all.
type value func(v *view) any

// values is what "$NAME" in a template stands for.
var values = map[string]value{
	"self": func(v *view) any {
		p := strings.TrimSuffix(v.at.path, "*") + v.id
		return v.b.fleet.store.href(v.b.actual(p, v.system))
	},
	"id": func(v *view) any { return v.id },

	"system.id": func(v *view) any { return v.b.fleet.dialect.systemID(v.system) },
	"uuid":      func(v *view) any { return v.b.uuid(v.system) },
	"serial":    func(v *view) any { return fmt.Sprintf("SIM%07d", v.b.index*maxSystems+v.system) },
	"hostname":  func(v *view) any { return fmt.Sprintf("host-%d", v.b.index*len(v.b.machines)+v.system+1) },
	"address":   func(v *view) any { return v.b.addr.Addr().String() },
	"mac.bmc":   func(v *view) any { return v.mac(0) },
	"mac.1":     func(v *view) any { return v.mac(1) },
	"mac.2":     func(v *view) any { return v.mac(2) },
	"now":       func(v *view) any { return stamp(v.now) },

	"power":        func(v *view) any { return v.power() },
	"power.plain":  func(v *view) any { return onOff(v.machine().on) },
	"state":        func(v *view) any { return v.state() },
	"progress":     func(v *view) any { return v.progress() },
	"reset.last":   func(v *view) any { return v.lastReset() },
	"resets":       func(v *view) any { return words(v.b.resets()) },
	"boot.enabled": func(v *view) any { return v.machine().boot.enabled },
	"boot.target":  func(v *view) any { return v.machine().boot.target },
	"boot.mode":    func(v *view) any { return v.machine().boot.mode },
	"boot.targets": func(v *view) any { return words(v.b.fleet.dialect.targets) },
	"led":          func(v *view) any { return v.machine().led },
	"location":     func(v *view) any { return v.machine().led != "Off" },
	"chassis.led":  func(v *view) any { return or(v.b.led, "Off") },
	"chassis.find": func(v *view) any { return or(v.b.led, "Off") != "Off" },
	"watts":        func(v *view) any { return v.load(58, 236) },
	"rpm":          func(v *view) any { return v.load(0, 5400) },
	"cpu.celsius":  func(v *view) any { return v.load(24, 47) },

	"session.user":    func(v *view) any { return as[session](v).user },
	"session.made":    func(v *view) any { return stamp(as[session](v).made) },
	"session.timeout": func(v *view) any { return int(v.b.fleet.opts.SessionTimeout / time.Second) },

	"account.name":    func(v *view) any { return as[account](v).name },
	"account.role":    func(v *view) any { return as[account](v).role },
	"account.enabled": func(v *view) any { return as[account](v).enabled },
	"account.locked": func(v *view) any {
		a := as[account](v)
		return v.b.locked(&a)
	},
	"account.role.link": func(v *view) any {
		return map[string]any{"@odata.id": v.b.fleet.store.href(root + "/AccountService/Roles/" + as[account](v).role)}
	},
	"lockout": func(v *view) any { return v.b.faults.LockoutAfter },

	"task.name":    func(v *view) any { return as[task](v).name },
	"task.state":   func(v *view) any { return as[task](v).state },
	"task.status":  func(v *view) any { return health(as[task](v).state) },
	"task.began":   func(v *view) any { return stamp(as[task](v).began) },
	"task.percent": func(v *view) any { t := as[task](v); return t.percent(v.now) },
	"task.monitor": func(v *view) any { return v.b.fleet.store.href(root + "/TaskService/TaskMonitors/" + v.id) },
	"task.ended": func(v *view) any {
		if t := as[task](v); t.state != running {
			return stamp(t.end)
		}
		return absent{}
	},
	"task.messages": func(v *view) any { return v.taskMessages() },

	"entry.time":     func(v *view) any { return stamp(as[entry](v).at) },
	"entry.severity": func(v *view) any { return severity(as[entry](v).severity) },
	"entry.text":     func(v *view) any { return as[entry](v).text },
	"log.size":       func(*view) any { return maxEntries },

	"media.image":    func(v *view) any { return null(v.image()) },
	"media.name":     func(v *view) any { return null(base(v.image())) },
	"media.inserted": func(v *view) any { return v.medium().inserted },
	"media.writable": func(v *view) any { return v.medium().protected },
	"media.via":      func(v *view) any { return via(v.medium()) },
	"media.next":     func(v *view) any { return v.medium().bootsNext },

	"hpe.post": func(v *view) any { return v.postState() },
}

// as is the item a view shows; the zero value if it is of another kind.
func as[T any](v *view) T {
	item, _ := v.item.(T)
	return item
}

// machine is the system a view is about.
func (v *view) machine() *machine { return v.b.machine(v.system) }

// medium is the virtual medium a view shows.
func (v *view) medium() medium { return v.b.media[v.at.mediumID()] }

// image is the address of the image in the virtual medium a view shows; some BMCs go
// on telling the one that was ejected.
func (v *view) image() string {
	m := v.medium()
	if m.image == "" && v.b.fleet.dialect.keepsImage {
		return m.ejected
	}
	return m.image
}

// postState is how far the start of the system is in the words of one vendor.
func (v *view) postState() string {
	if v.machine().on {
		return "FinishedPost"
	}
	return "PowerOff"
}

// power is the power state as the BMC tells it.
func (v *view) power() any {
	f := &v.b.faults
	if f.PowerWord != "" {
		return f.PowerWord
	}
	if f.LiesAboutPower {
		return onOff(!v.machine().on)
	}
	return v.machine().state(v.b.fleet.dialect.transitional)
}

// onOff is a power state in a word.
func onOff(on bool) string {
	if on {
		return "On"
	}
	return "Off"
}

// state is the State of what has power only with the system.
func (v *view) state() string {
	if v.machine().on {
		return "Enabled"
	}
	return "StandbyOffline"
}

// progress is how far the start of the system is (ComputerSystem, BootProgress).
func (v *view) progress() string {
	if v.machine().on {
		return "OSRunning"
	}
	return "None"
}

// lastReset is when the system was last reset; a system that never was has no such
// property.
func (v *view) lastReset() any {
	at := v.machine().reset
	if at.IsZero() {
		return absent{}
	}
	return stamp(at)
}

// load is a reading that depends on whether the system is on.
func (v *view) load(off, on int) int {
	if v.machine().on {
		return on
	}
	return off
}

// taskMessages is what a task has to say.
func (v *view) taskMessages() []any {
	m := msgSuccess
	switch as[task](v).state {
	case running:
		return []any{}
	case exception:
		m = msgInternal
	}
	return []any{v.b.fleet.dialect.info(m)}
}

// mac is a hardware address of the BMC's, of a range for local use.
func (v *view) mac(n int) string {
	i := v.b.index*maxSystems + v.system
	return fmt.Sprintf("02:52:%02x:%02x:%02x:%02x", 0x46+i>>20, i>>12&0xff, i>>4&0xff, i&0xf<<4|n)
}

// uuid is the UUID of a system.
func (b *BMC) uuid(system int) string {
	h := sha256.Sum256(fmt.Appendf(nil, "uuid %d/%d/%d", b.fleet.opts.Seed, b.index, system))
	h[6], h[8] = h[6]&0x0f|0x40, h[8]&0x3f|0x80 // RFC 9562 §5.4
	return fmt.Sprintf("%x-%x-%x-%x-%x", h[0:4], h[4:6], h[6:8], h[8:10], h[10:16])
}

// stamp is a time as Redfish writes it.
func stamp(t time.Time) string { return t.UTC().Format("2006-01-02T15:04:05Z") }

// words is a list of words as JSON has it.
func words(list []string) []any {
	all := make([]any, len(list))
	for i, w := range list {
		all[i] = w
	}
	return all
}

// health is how well a task is.
func health(state string) string {
	if state == exception {
		return "Critical"
	}
	return "OK"
}

// severity is the word of a log for how bad something is.
func severity(word string) string {
	if word == "Info" {
		return "OK"
	}
	return word
}

// null is a text, or null if it is empty.
func null(s string) any {
	if s == "" {
		return nil
	}
	return s
}

// base is the last segment of the address of an image.
func base(url string) string { return url[strings.LastIndex(url, "/")+1:] }

// via is how a medium is connected (VirtualMedia, ConnectedVia).
func via(m medium) string {
	if m.inserted {
		return "URI"
	}
	return "NotConnected"
}
