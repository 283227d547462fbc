package route

import (
	"errors"
	"strings"
	"text/template"

	"provision-plugins/slack/notice"
)

const (
	// maxTemplate bounds the text of a template, maxWords what it makes.
	maxTemplate = 4096
	maxWords    = 2000
)

// errFull ends a template that makes too much.
var errFull = errors.New("the text is too long")

// wording is a checked template, nil for the built-in words.
type wording struct{ t *template.Template }

// parseWording checks a template by wording an empty notice.
func parseWording(text string) (*wording, error) {
	if text == "" {
		return &wording{}, nil
	}
	if len(text) > maxTemplate {
		return nil, errFull
	}
	t, err := template.New("line").Option("missingkey=error").Parse(text)
	if err != nil {
		return nil, err
	}
	w := &wording{t}
	if _, err := w.make(&notice.Notice{}); err != nil {
		return nil, err
	}
	return w, nil
}

// line words a notice.
func (w *wording) line(n *notice.Notice) string {
	if w.t == nil {
		return n.Line()
	}
	text, err := w.make(n)
	if err != nil {
		return n.Line()
	}
	return strings.Join(strings.Fields(text), " ")
}

// make runs the template.
func (w *wording) make(n *notice.Notice) (string, error) {
	var out bounded
	err := w.t.Execute(&out, n)
	return out.String(), err
}

// bounded is a text that does not grow for ever.
type bounded struct{ strings.Builder }

// Write takes some text.
func (b *bounded) Write(p []byte) (int, error) {
	if b.Len()+len(p) > maxWords {
		return 0, errFull
	}
	return b.Builder.Write(p)
}
