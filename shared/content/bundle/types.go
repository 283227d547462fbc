package bundle

// Kind is the JSON type of an object's field.
type Kind int

// The kinds of fields.
const (
	Text    Kind = iota // a string
	Flag                // a boolean
	Texts               // an array of strings
	TextMap             // an object of strings
	Values              // an object of anything: params by name
	Struct              // an object with the fields in Field.Fields
	Structs             // an array of such objects
	Any                 // any JSON value
)

// Field is one field of an object.
type Field struct {
	Name   string
	Kind   Kind
	Fields []Field // of Struct and Structs
	// Optional fields are left out when unset; all others are filled.
	Optional bool
}

// Type describes the objects of one section.
type Type struct {
	// Section is the section's name, also the prefix of its objects.
	Section string
	// Key is the field that holds an object's key.
	Key string
	// Slash tells that names may contain slashes.
	Slash  bool
	Fields []Field
}

// common begins every object of the reference.
var common = []Field{
	{Name: "Validated", Kind: Flag},
	{Name: "Available", Kind: Flag},
	{Name: "Errors", Kind: Texts},
	{Name: "ReadOnly", Kind: Flag},
	{Name: "Meta", Kind: TextMap},
	{Name: "Endpoint", Kind: Text},
	{Name: "Bundle", Kind: Text},
}

// templateInfo is a template inside a stage, task or boot environment.
var templateInfo = []Field{
	{Name: "Name", Kind: Text},
	{Name: "Path", Kind: Text},
	{Name: "Link", Kind: Text},
	{Name: "ID", Kind: Text},
	{Name: "Contents", Kind: Text},
	{Name: "Meta", Kind: TextMap},
}

// osInfo is the operating system of a boot environment.
var osInfo = []Field{
	{Name: "Name", Kind: Text},
	{Name: "Family", Kind: Text},
	{Name: "Codename", Kind: Text},
	{Name: "Version", Kind: Text},
	{Name: "IsoFile", Kind: Text},
	{Name: "IsoSha256", Kind: Text},
	{Name: "IsoUrl", Kind: Text},
	{Name: "SupportedArchitectures", Kind: Values},
}

// types are the sections whose objects are known. Objects of other sections
// are kept as they are.
var types = []Type{
	{Section: "params", Key: "Name", Slash: true, Fields: object(
		Field{Name: "Name"},
		Field{Name: "Description"},
		Field{Name: "Documentation"},
		Field{Name: "Secure", Kind: Flag},
		Field{Name: "Schema", Kind: Any},
	)},
	{Section: "profiles", Key: "Name", Fields: object(
		Field{Name: "Partial", Kind: Flag},
		Field{Name: "Name"},
		Field{Name: "Description"},
		Field{Name: "Documentation"},
		Field{Name: "Params", Kind: Values},
		Field{Name: "Profiles", Kind: Texts},
	)},
	{Section: "stages", Key: "Name", Fields: object(
		Field{Name: "Partial", Kind: Flag},
		Field{Name: "Name"},
		Field{Name: "Description"},
		Field{Name: "Documentation"},
		Field{Name: "Templates", Kind: Structs, Fields: templateInfo},
		Field{Name: "RequiredParams", Kind: Texts},
		Field{Name: "OptionalParams", Kind: Texts},
		Field{Name: "Params", Kind: Values},
		Field{Name: "BootEnv"},
		Field{Name: "Tasks", Kind: Texts},
		Field{Name: "Profiles", Kind: Texts},
		Field{Name: "Reboot", Kind: Flag},
		Field{Name: "RunnerWait", Kind: Flag},
	)},
	{Section: "tasks", Key: "Name", Fields: object(
		Field{Name: "Name"},
		Field{Name: "Description"},
		Field{Name: "Documentation"},
		Field{Name: "Templates", Kind: Structs, Fields: templateInfo},
		Field{Name: "RequiredParams", Kind: Texts},
		Field{Name: "OptionalParams", Kind: Texts},
		Field{Name: "Prerequisites", Kind: Texts},
		Field{Name: "ExtraRoles", Kind: Texts, Optional: true},
		Field{Name: "ExtraClaims", Kind: Any, Optional: true},
	)},
	{Section: "templates", Key: "ID", Fields: object(
		Field{Name: "ID"},
		Field{Name: "Description"},
		Field{Name: "Contents"},
	)},
	{Section: "workflows", Key: "Name", Fields: object(
		Field{Name: "Name"},
		Field{Name: "Description"},
		Field{Name: "Documentation"},
		Field{Name: "Stages", Kind: Texts},
	)},
	{Section: "bootenvs", Key: "Name", Fields: object(
		Field{Name: "Name"},
		Field{Name: "Description"},
		Field{Name: "Documentation"},
		Field{Name: "OS", Kind: Struct, Fields: osInfo},
		Field{Name: "Templates", Kind: Structs, Fields: templateInfo},
		Field{Name: "Kernel"},
		Field{Name: "Initrds", Kind: Texts},
		Field{Name: "BootParams"},
		Field{Name: "RequiredParams", Kind: Texts},
		Field{Name: "OptionalParams", Kind: Texts},
		Field{Name: "Loaders", Kind: TextMap},
		Field{Name: "OnlyUnknown", Kind: Flag},
	)},
}

// object returns the common fields followed by the given ones.
func object(fields ...Field) []Field {
	return append(append([]Field{}, common...), fields...)
}

// TypeOf returns the type of a section's objects, or false for a section that
// is not known.
func TypeOf(section string) (Type, bool) {
	for _, t := range types {
		if t.Section == section {
			return t, true
		}
	}
	return Type{}, false
}

// HasBundle reports whether objects of a section name the bundle they are of.
func HasBundle(section string) bool {
	_, ok := TypeOf(section)
	return ok
}

// rawKeys are the fields that hold the key of an object of an unknown section,
// in the order they are looked for.
var rawKeys = []string{"Id", "Name", "ID", "Uuid"}

// keyFields returns the fields that may hold the key in a section.
func keyFields(section string) []string {
	if t, ok := TypeOf(section); ok {
		return []string{t.Key}
	}
	return rawKeys
}
