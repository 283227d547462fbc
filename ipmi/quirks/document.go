package quirks

import (
	"fmt"
	"strings"
)

// The marks between which the tables stand in a document.
const (
	Begin = "<!-- quirks: generated from the tables in ipmi/quirks -->"
	End   = "<!-- end of quirks -->"
)

// Markdown renders the tables for people, marks included.
func Markdown() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s\n\n| quirk | the BMC | the driver then | reported in |\n|---|---|---|---|\n", Begin)
	for i := range flags {
		f := &flags[i]
		name := "`" + f.Name + "`"
		if f.BeforeLogin {
			name += " *"
		}
		fmt.Fprintf(&b, "| %s | %s | %s | %s |\n", name, f.Meaning, f.Effect, f.Source)
	}
	b.WriteString("\n| manufacturer | product | quirks | why | reported in |\n|---|---|---|---|---|\n")
	for i := range devices {
		e := &devices[i]
		product := "any"
		if e.Product != AnyProduct {
			product = fmt.Sprint(e.Product)
		}
		fmt.Fprintf(&b, "| %d (%s) | %s | `%s` | %s | %s |\n", e.Manufacturer, e.Name, product, e.Set, e.Reason, e.Source)
	}
	fmt.Fprintf(&b, "\n%s\n", End)
	return b.String()
}
