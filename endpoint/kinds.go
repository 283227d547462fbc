package endpoint

import (
	"crypto/rand"
	"encoding/hex"
	"maps"
	"slices"
	"strings"
	"sync"

	"provision-plugins/endpoint/query"
	"provision-plugins/endpoint/store"
	"provision-plugins/shared/model"
)

// kind is one type of stored object.
type kind struct {
	prefix string
	// unique names the fields that no two objects may share, beside the key.
	unique []string
	// shape is that of a record's kind; nil for types of their own.
	shape *shape
	// fresh makes an object with the defaults of a new one.
	fresh func() any
	// key returns where the object's key is.
	key func(object any) *string
	// tidy sets what the endpoint and not the writer decides.
	tidy func(object any)
	// table keeps what filters have looked at.
	table query.Table[store.Object]

	typesOnce sync.Once
	types     map[string]string // set by typesOnce
}

// fieldTypes are the fields of the kind's objects with their JSON types.
func (k *kind) fieldTypes() map[string]string {
	k.typesOnce.Do(func() {
		k.types = map[string]string{}
		var all map[string]any
		if err := model.Remarshal(k.fresh(), &all); err != nil {
			return
		}
		for name, v := range all {
			k.types[name] = jsonType(v)
		}
	})
	return k.types
}

// keyField names the field that is the key.
func (k *kind) keyField() string {
	switch {
	case k.shape != nil:
		return k.shape.keyField
	case k.prefix == "machines":
		return "Uuid"
	}
	return "Name"
}

// layerKey is the key of an object that is named by an index.
func (k *kind) layerKey(key string) string {
	for _, index := range []string{k.keyField(), "Key", "Name"} {
		if bare, ok := strings.CutPrefix(key, index+":"); ok {
			return bare
		}
	}
	return key
}

// hasParams reports whether the kind's objects have params of their own.
func (k *kind) hasParams() bool { return paramsOf(k.fresh()) != nil }

// typedKinds are those that the endpoint itself works with.
func typedKinds() []*kind {
	return []*kind{
		{
			prefix: "machines",
			unique: []string{"Name"},
			fresh:  func() any { return model.NewMachine("") },
			key:    func(o any) *string { return &o.(*model.Machine).Uuid },
			tidy:   tidyMachine,
		},
		{
			prefix: "plugins",
			fresh:  func() any { return &model.Plugin{} },
			key:    func(o any) *string { return &o.(*model.Plugin).Name },
			tidy:   tidyPlugin,
		},
		{
			prefix: "profiles",
			fresh:  func() any { return &model.Profile{} },
			key:    func(o any) *string { return &o.(*model.Profile).Name },
			tidy:   tidyProfile,
		},
		{
			prefix: "params",
			fresh:  func() any { return &model.Param{} },
			key:    func(o any) *string { return &o.(*model.Param).Name },
			tidy:   tidyParam,
		},
	}
}

// recordShapes are the kinds that are only data to the endpoint: a row each.
func recordShapes() map[string]*shape {
	return map[string]*shape{
		"templates": {keyField: "ID", fields: join(groupCommon, texts("Description", "Contents"))},
		"stages": {keyField: "Name", params: true, fields: join(groupCommon, groupPartial, groupTexts, texts("BootEnv"),
			tables("Templates"), lists("RequiredParams", "OptionalParams", "Tasks", "Profiles"), flags("Reboot", "RunnerWait"))},
		"tasks": {keyField: "Name", fields: join(groupCommon, groupTexts,
			tables("Templates", "ExtraClaims"), lists("RequiredParams", "OptionalParams", "Prerequisites", "ExtraRoles"))},
		"workflows": {keyField: "Name", fields: join(groupCommon, groupTexts, lists("Stages"))},
		"bootenvs": {keyField: "Name", fields: join(groupCommon, groupTexts, texts("Kernel", "BootParams"), flags("OnlyUnknown"),
			tables("Templates"), lists("Initrds", "RequiredParams", "OptionalParams"), []field{{name: "OS", zero: map[string]any{}}, {name: "Loaders", zero: map[string]any{}, elem: ""}})},
		"users": {keyField: "Name", fields: join(groupCommon, groupTexts, lists("Roles"), secrets("PasswordHash", "Secret"))},
		"roles": {keyField: "Name", fields: join(groupCommon, groupTexts, tables("Claims"))},
		"prefs": {keyField: "Name", fields: join(groupMeta, texts("Val"))},
	}
}

// recordKind makes the kind of a shape's records.
func recordKind(prefix string, s *shape) *kind {
	return &kind{
		prefix: prefix,
		shape:  s,
		fresh:  func() any { return newRecord(s) },
		key:    func(o any) *string { return &o.(*record).key },
		tidy:   func(o any) { o.(*record).tidy() },
	}
}

// kindSet is the kinds of object that there are. Plugins bring more of them.
type kindSet struct {
	mu  sync.RWMutex // guards all
	all map[string]*kind
}

// newKinds are the kinds that the endpoint always has.
func newKinds() *kindSet {
	set := &kindSet{all: map[string]*kind{}}
	for _, k := range typedKinds() {
		set.all[k.prefix] = k
	}
	for prefix, s := range recordShapes() {
		set.all[prefix] = recordKind(prefix, s)
	}
	return set
}

// get returns the kind of a prefix, or nil.
func (s *kindSet) get(prefix string) *kind {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.all[prefix]
}

// list returns all kinds by their prefixes.
func (s *kindSet) list() []*kind {
	s.mu.RLock()
	defer s.mu.RUnlock()
	out := make([]*kind, 0, len(s.all))
	for _, prefix := range slices.Sorted(maps.Keys(s.all)) {
		out = append(out, s.all[prefix])
	}
	return out
}

// add makes a kind known, unless another has its prefix.
func (s *kindSet) add(k *kind) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.all[k.prefix] != nil {
		return false
	}
	s.all[k.prefix] = k
	return true
}

// remove forgets a kind that was added; its objects stay in the store.
func (s *kindSet) remove(k *kind) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.all[k.prefix] == k {
		delete(s.all, k.prefix)
	}
}

// usable is the validation of every object the store takes.
func usable() model.Validation {
	return model.Validation{Validated: true, Available: true, Errors: []string{}}
}

// tidyMachine sets a machine's decided fields.
func tidyMachine(object any) {
	m := object.(*model.Machine)
	m.Validation, m.Access, m.Partial, m.Bundle = usable(), model.Access{}, false, ""
	m.Meta = orMap(m.Meta)
	m.Profiles, m.Tasks, m.HardwareAddrs = orEmpty(m.Profiles), orEmpty(m.Tasks), orEmpty(m.HardwareAddrs)
	m.TaskErrorStacks = orEmpty(m.TaskErrorStacks)
	m.Fingerprint.MemoryIds = orEmpty(m.Fingerprint.MemoryIds)
	m.Params = orParams(m.Params)
	// Clients send every field, the empty ones too.
	setDefault(&m.Stage, "none")
	setDefault(&m.BootEnv, "local")
	setDefault(&m.Arch, "amd64")
	setDefault(&m.Pool, "default")
	setDefault(&m.PoolStatus, "Free")
	if m.Uuid == "" {
		m.Uuid = newUUID()
	}
}

// begin sets what a new machine is, whatever its maker sent: clients send every
// field, and the reference's has false and 0 there.
func begin(m *model.Machine) {
	m.Runnable = true
	if len(m.Tasks) == 0 {
		m.CurrentTask = -1
	}
}

// tidyPlugin sets a plugin's decided fields.
func tidyPlugin(object any) {
	p := object.(*model.Plugin)
	p.Validation, p.Access, p.Partial, p.Bundle = usable(), model.Access{}, false, ""
	p.Meta, p.Params, p.PluginErrors = orMap(p.Meta), orParams(p.Params), []string{}
}

// tidyProfile sets a profile's decided fields.
func tidyProfile(object any) {
	p := object.(*model.Profile)
	p.Validation, p.Access, p.Partial, p.Bundle = usable(), model.Access{}, false, ""
	p.Meta, p.Params, p.Profiles = orMap(p.Meta), orParams(p.Params), orEmpty(p.Profiles)
}

// tidyParam sets a param's decided fields.
func tidyParam(object any) {
	p := object.(*model.Param)
	p.Validation, p.Access, p.Bundle = usable(), model.Access{}, ""
	p.Meta = orMap(p.Meta)
}

// orEmpty is list, or an empty one for nil.
func orEmpty[T any](list []T) []T {
	if list == nil {
		return []T{}
	}
	return list
}

// orMap is m, or an empty map for nil.
func orMap(m map[string]string) map[string]string {
	if m == nil {
		return map[string]string{}
	}
	return m
}

// orParams is p without its nulls: null means not set.
func orParams(p model.Params) model.Params {
	out := make(model.Params, len(p))
	for name, v := range p {
		if v != nil {
			out[name] = v
		}
	}
	return out
}

// newUUID makes a random UUID.
func newUUID() string {
	var b [16]byte
	_, _ = rand.Read(b[:]) // never fails: the runtime ends the program first
	b[6], b[8] = b[6]&0x0f|0x40, b[8]&0x3f|0x80
	text := hex.EncodeToString(b[:])
	return text[:8] + "-" + text[8:12] + "-" + text[12:16] + "-" + text[16:20] + "-" + text[20:]
}
