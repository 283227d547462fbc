package bundle

import (
	"fmt"
	"slices"
	"strings"

	"provision-plugins/shared/model"
)

// metaFields are the fields of a bundle's metadata that the directory format
// has files for.
var metaFields = []struct {
	name string
	at   func(*model.ContentMeta) *string
}{
	{"Name", func(m *model.ContentMeta) *string { return &m.Name }},
	{"Version", func(m *model.ContentMeta) *string { return &m.Version }},
	{"Description", func(m *model.ContentMeta) *string { return &m.Description }},
	{"Source", func(m *model.ContentMeta) *string { return &m.Source }},
	{"Documentation", func(m *model.ContentMeta) *string { return &m.Documentation }},
	{"RequiredFeatures", func(m *model.ContentMeta) *string { return &m.RequiredFeatures }},
	{"Type", func(m *model.ContentMeta) *string { return &m.Type }},
	{"Color", func(m *model.ContentMeta) *string { return &m.Color }},
	{"Icon", func(m *model.ContentMeta) *string { return &m.Icon }},
	{"Author", func(m *model.ContentMeta) *string { return &m.Author }},
	{"DisplayName", func(m *model.ContentMeta) *string { return &m.DisplayName }},
	{"License", func(m *model.ContentMeta) *string { return &m.License }},
	{"Copyright", func(m *model.ContentMeta) *string { return &m.Copyright }},
	{"CodeSource", func(m *model.ContentMeta) *string { return &m.CodeSource }},
	{"Order", func(m *model.ContentMeta) *string { return &m.Order }},
	{"Tags", func(m *model.ContentMeta) *string { return &m.Tags }},
	{"DocUrl", func(m *model.ContentMeta) *string { return &m.DocURL }},
	{"Prerequisites", func(m *model.ContentMeta) *string { return &m.Prerequisites }},
}

// contentTypes are the layers a bundle may say it belongs to.
var contentTypes = []string{"dynamic", "default", "plugin", "basic", "local", "writable"}

// DefaultType is the Type of a bundle that names none.
const DefaultType = "dynamic"

// MetaFields returns the names of the metadata fields, in the reference's order.
func MetaFields() []string {
	names := make([]string, len(metaFields))
	for i, f := range metaFields {
		names[i] = f.name
	}
	return names
}

// SetMeta sets one metadata field and reports whether there is such a field.
func SetMeta(m *model.ContentMeta, name, value string) bool {
	for _, f := range metaFields {
		if f.name == name {
			*f.at(m) = value
			return true
		}
	}
	return false
}

// GetMeta returns one metadata field, "" if it is unset or unknown.
func GetMeta(m *model.ContentMeta, name string) string {
	for _, f := range metaFields {
		if f.name == name {
			return *f.at(m)
		}
	}
	return ""
}

// CheckMeta tells what is wrong with a bundle's metadata: the field, and why.
func CheckMeta(m *model.ContentMeta) []Problem {
	var out []Problem
	switch {
	case m.Name == "":
		out = append(out, Problem{Field: "Name", Text: "a bundle needs a name"})
	case len(m.Name) > maxName || !bundleName().MatchString(m.Name):
		out = append(out, Problem{Field: "Name", Text: fmt.Sprintf("bundle name %.40q is not valid: letters, digits, - _ .", m.Name)})
	}
	if m.Type != "" && !slices.Contains(contentTypes, m.Type) {
		out = append(out, Problem{Field: "Type", Text: fmt.Sprintf("type %.40q is none of %s", m.Type, strings.Join(contentTypes, ", "))})
	}
	return out
}
