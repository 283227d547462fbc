package bundle

import (
	"bytes"
	"strconv"
	"strings"
)

// GoText returns the YAML that a Go file of EncodeGo, or of the reference,
// holds, and the line of the Go file on which it stands. It reads that form
// alone: comments and empty lines, the package, and one variable with a string.
func GoText(data []byte) (text []byte, line int, err error) {
	if err := CheckText(data); err != nil {
		return nil, 0, err
	}
	seen := false
	for n, offset := 1, 0; offset < len(data); n++ {
		row, _, _ := bytes.Cut(data[offset:], []byte("\n"))
		words := strings.Fields(string(row[:min(len(row), maxGoWords)]))
		switch {
		case len(words) == 0 || strings.HasPrefix(words[0], "//"):
		case !seen && len(words) == 2 && words[0] == "package":
			seen = true
		case seen && len(words) > 3 && words[0] == "var" && words[2] == "=":
			_, value, _ := bytes.Cut(data[offset:], []byte("="))
			text, err := strconv.Unquote(strings.TrimSpace(string(value)))
			if err != nil {
				return nil, 0, &SyntaxError{n, "the variable does not hold one string, the last thing in the file"}
			}
			return []byte(text), n, nil
		default:
			return nil, 0, &SyntaxError{n, "not a generated bundle: package NAME, then var NAME = \"...\""}
		}
		offset += len(row) + 1
	}
	return nil, 0, &SyntaxError{lineAt(data, len(data)), "it ends before the variable that holds the bundle"}
}

// maxGoWords bounds how far into a line GoText looks for its first words.
const maxGoWords = 600
