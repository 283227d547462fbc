package content

import (
	"cmp"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"

	"provision-plugins/shared/model"
)

// Document writes a bundle's reference page as reStructuredText: what the
// bundle says of itself, then what its objects say of themselves, section by
// section. Sections and objects are in the order of their names, so that the
// same bundle always gives the same page.
func Document(w io.Writer, c *model.Content) error {
	var b strings.Builder
	writeHead(&b, &c.Meta)
	first := true
	for _, section := range slices.Sorted(maps.Keys(c.Sections)) {
		objects := c.Sections[section]
		keys := slices.DeleteFunc(slices.Sorted(maps.Keys(objects)), func(key string) bool { return documentation(objects[key]) == "" })
		if len(keys) == 0 {
			continue
		}
		if first {
			heading(&b, "Object Specific Documentation", '-')
			first = false
		}
		heading(&b, section, '=')
		fmt.Fprintf(&b, "The %s below have documentation of their own.\n\n", inline(section))
		for _, key := range keys {
			heading(&b, key, '+')
			b.WriteString(documentation(objects[key]) + "\n\n")
		}
	}
	if _, err := io.WriteString(w, strings.TrimRight(b.String(), "\n")+"\n"); err != nil {
		return fmt.Errorf("cannot write the page of %s: %w", c.Meta.Name, err)
	}
	return nil
}

// writeHead writes what comes before the objects.
func writeHead(b *strings.Builder, m *model.ContentMeta) {
	b.WriteString("\n")
	fmt.Fprintf(b, ".. Copyright: %s\n", cmp.Or(oneLine(m.Copyright), "not stated"))
	fmt.Fprintf(b, ".. License: %s\n", cmp.Or(oneLine(m.License), "not stated"))
	fmt.Fprintf(b, ".. Made by contents document: change the content package, not this page.\n\n")
	fmt.Fprintf(b, ".. index::\n  pair: %s; Content Packages\n\n", m.Name)
	fmt.Fprintf(b, ".. _rs_cp_%s:\n\n", strings.ReplaceAll(m.Name, "-", "_"))
	title, called := m.Name, inline(m.Name)
	if display := oneLine(m.DisplayName); display != "" {
		title, called = m.Name+" - "+display, inline(display)+" ("+inline(m.Name)+")"
	}
	heading(b, title, '~')
	version := ""
	if m.Version != "" {
		version = " at version " + inline(oneLine(m.Version))
	}
	fmt.Fprintf(b, "The following documentation is for %s content package%s.\n\n", called, version)
	if text := trimText(m.Documentation); text != "" {
		b.WriteString(text + "\n\n")
	}
}

// heading writes a title and the line below it, which must not be shorter.
func heading(b *strings.Builder, title string, line byte) {
	title = inline(title)
	b.WriteString(title + "\n" + strings.Repeat(string(line), len(title)) + "\n\n")
}

// documentation is what an object says of itself. Its lines are taken as they
// are: they are markup too.
func documentation(obj map[string]any) string {
	text, _ := obj["Documentation"].(string)
	return trimText(text)
}

// trimText takes away the empty lines around a text; a first line keeps its
// indentation.
func trimText(text string) string {
	text = strings.TrimRight(text, " \t\r\n")
	for {
		line, rest, ok := strings.Cut(text, "\n")
		if !ok || strings.TrimSpace(line) != "" {
			return text
		}
		text = rest
	}
}

// oneLine makes one line of a text.
func oneLine(text string) string { return strings.Join(strings.Fields(text), " ") }

// markup are the characters that would be markup inside a line.
var markup = strings.NewReplacer(`\`, `\\`, "*", `\*`, "`", "\\`", "|", `\|`, "_", `\_`)

// inline writes a text so that nothing in it is markup.
func inline(text string) string { return markup.Replace(text) }
