package bundle

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"regexp"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"sigs.k8s.io/yaml"

	"provision-plugins/shared/model"
)

// SyntaxError is text that cannot be decoded.
type SyntaxError struct {
	Line int // 0 when it is not known
	Text string
}

// Error renders the line and the cause.
func (e *SyntaxError) Error() string {
	if e.Line == 0 {
		return e.Text
	}
	return "line " + strconv.Itoa(e.Line) + ": " + e.Text
}

// ErrEmpty is text that holds no value at all.
var ErrEmpty = errors.New("empty: there is no object in it")

// DecodeYAML decodes one YAML document into JSON values; numbers keep their
// digits. Keys given twice, further documents and bytes that are not UTF-8 are
// refused.
func DecodeYAML(data []byte) (any, error) {
	if err := CheckText(data); err != nil {
		return nil, err
	}
	if line := secondDocument(data); line > 0 {
		return nil, &SyntaxError{line, "a second document begins; only one is read"}
	}
	raw, err := yaml.YAMLToJSONStrict(data)
	if err != nil {
		return nil, yamlError(data, err)
	}
	return decodeRaw(raw)
}

// DecodeJSON is DecodeYAML for JSON.
func DecodeJSON(data []byte) (any, error) {
	if err := CheckText(data); err != nil {
		return nil, err
	}
	return decodeRaw(data)
}

// decodeRaw decodes JSON text; null counts as nothing.
func decodeRaw(raw []byte) (any, error) {
	var v any
	if err := model.Unmarshal(raw, &v); err != nil {
		return nil, jsonError(raw, err)
	}
	if v == nil {
		return nil, ErrEmpty
	}
	return v, nil
}

// CheckText refuses what is not UTF-8, naming the line.
func CheckText(data []byte) error {
	if i := invalidUTF8(data); i >= 0 {
		return &SyntaxError{lineAt(data, i), "not UTF-8"}
	}
	return nil
}

// invalidUTF8 returns the offset of the first byte that is not UTF-8, or -1.
func invalidUTF8(data []byte) int {
	for i := 0; i < len(data); {
		r, n := utf8.DecodeRune(data[i:])
		if r == utf8.RuneError && n <= 1 {
			return i
		}
		i += n
	}
	return -1
}

// secondDocument returns the line of a document marker after the first
// content, or 0. A line of three dashes at the margin is always a marker.
func secondDocument(data []byte) int {
	content := false
	for n, line := range bytes.Split(data, []byte("\n")) {
		text := bytes.TrimRight(line, " \t\r")
		marker := bytes.Equal(text, []byte("---")) || bytes.HasPrefix(line, []byte("--- "))
		switch {
		case marker && content:
			return n + 1
		case marker:
			content = len(text) > len("---")
		case len(text) > 0 && text[0] != '#' && text[0] != '%':
			content = true
		}
	}
	return 0
}

// jsonError turns an error of model.Unmarshal into one line with its place.
func jsonError(raw []byte, err error) error {
	var syntax *json.SyntaxError
	switch {
	case errors.As(err, &syntax):
		return &SyntaxError{lineAt(raw, int(syntax.Offset)), syntax.Error()}
	case errors.Is(err, io.ErrUnexpectedEOF):
		return &SyntaxError{lineAt(raw, len(raw)), "it ends in the middle of a value"}
	}
	dec := json.NewDecoder(bytes.NewReader(raw))
	var first json.RawMessage
	if dec.Decode(&first) != nil {
		return &SyntaxError{0, model.AsError(err).Text()}
	}
	end := int(dec.InputOffset())
	end += len(raw[end:]) - len(bytes.TrimLeft(raw[end:], " \t\r\n"))
	return &SyntaxError{lineAt(raw, end), "something follows the value; one is read"}
}

var yamlLine = regexp.MustCompile(`line (\d+): `)

// yamlError turns the YAML package's error into one line.
func yamlError(data []byte, err error) error {
	text := err.Error()
	line := 0
	if m := yamlLine.FindStringSubmatchIndex(text); m != nil {
		// The pattern admits digits only; a number out of range stays unknown.
		line, _ = strconv.Atoi(text[m[2]:m[3]])
		text = text[m[1]:]
	}
	text, _, _ = strings.Cut(text, "\n")
	if line == 0 {
		line = searchLine(data, text)
	}
	return &SyntaxError{line, strings.TrimPrefix(text, "yaml: ")}
}

// searchLine finds the line of an error that the YAML package tells none of; 0
// if it cannot.
func searchLine(data []byte, text string) int {
	offset := -1
	if name, ok := strings.CutPrefix(text, "yaml: unknown anchor '"); ok {
		name, _, _ = strings.Cut(name, "'")
		offset = bytes.Index(data, []byte("*"+name))
	}
	if strings.Contains(text, "control characters") {
		offset = bytes.IndexFunc(data, func(r rune) bool { return unicode.IsControl(r) && r != '\n' && r != '\t' && r != '\r' && r != '\u0085' })
	}
	if offset < 0 {
		return 0
	}
	return lineAt(data, offset)
}

// lineAt returns the line of an offset, from 1.
func lineAt(data []byte, offset int) int {
	return 1 + bytes.Count(data[:min(offset, len(data))], []byte("\n"))
}
