package main

import (
	"bytes"
	"encoding/json"
	"regexp"
	"strings"

	"provision-plugins/shared/model"
)

// maxShown bounds how much of a bare resource is shown on one line.
const maxShown = 2000

// text is the answer for people, in full.
func (ans answer) text() string { return ans.describe(true) }

// foldKey is the answer without what differs between machines that answered
// alike: times, and the machine's own name and address.
func (ans answer) foldKey() string {
	text := ans.describe(false)
	if ans.err == nil {
		return text
	}
	return ans.common(text)
}

// describe is the answer for people, with its evidence if detail is set.
func (ans answer) describe(detail bool) string {
	if ans.err != nil {
		return ans.errorText(detail)
	}
	var word *string
	if json.Unmarshal(ans.raw, &word) == nil && word != nil {
		return *word
	}
	var res model.Result
	if json.Unmarshal(ans.raw, &res) == nil && (res.Power != "" || res.Boot != nil || res.Outcome != "") {
		return resultText(&res, detail)
	}
	var health healthAnswer
	if json.Unmarshal(ans.raw, &health) == nil && health.Status != nil {
		return health.text()
	}
	return bareText(ans.raw)
}

// errorText is the error for people.
func (ans answer) errorText(detail bool) string {
	if ans.unsent() {
		return ans.err.Text()
	}
	text := strings.TrimPrefix(ans.err.Text(), ans.machine.name+": ")
	text = string(ans.err.Kind()) + ": " + strings.TrimPrefix(text, string(ans.err.Kind())+": ")
	if detail && ans.err.Kind() == model.UnknownOutcome && !strings.Contains(text, ans.run) {
		text += " (run " + ans.run + ")"
	}
	return text
}

// resultText is the result of a power or boot action for people.
func resultText(res *model.Result, detail bool) string {
	if res.Outcome == model.Accepted {
		if detail && res.Run != "" {
			return "accepted, run " + res.Run
		}
		return "accepted"
	}
	text := stateText(res)
	if res.Changed != nil && !*res.Changed {
		// What is unchanged needs no note.
		return "already " + text + outcomeText(res, detail)
	}
	text += outcomeText(res, detail)
	// Notes with times do not fold.
	if res.Note != "" && (detail || !timePattern.MatchString(res.Note)) {
		text += "; " + res.Note
	}
	return text
}

// stateText is the state that a result tells.
func stateText(res *model.Result) string {
	switch {
	case res.Boot != nil:
		return bootText(res.Boot)
	case res.Power == model.StateUnknown && res.Raw != "":
		return "unknown (" + res.Raw + ")"
	case res.Power != "":
		return string(res.Power)
	}
	return "done"
}

// outcomeText is the outcome in brackets, with its evidence if detail is set.
func outcomeText(res *model.Result, detail bool) string {
	words := []string{}
	if res.Outcome != "" {
		words = append(words, string(res.Outcome))
	}
	if res.Evidence != "" && detail {
		words = append(words, res.Evidence)
	}
	if len(words) == 0 {
		return ""
	}
	return " (" + strings.Join(words, ": ") + ")"
}

// bootText is a boot override for people.
func bootText(b *model.BootOverride) string {
	if b.Device == model.BootNone {
		return "no override"
	}
	words := []string{string(b.Device), "next boot only"}
	if b.Persistent {
		words[1] = "every boot"
	}
	if b.UEFI {
		words = append(words, "UEFI")
	}
	if !b.Valid {
		words = append(words, "not valid: will not be honoured")
	}
	if b.Device == model.BootOther && b.Raw != "" {
		words[0] += " (" + b.Raw + ")"
	}
	return strings.Join(words, ", ")
}

// healthAnswer is what of a status answer is shown.
type healthAnswer struct {
	Status              *string
	ProcessorStatus     string
	MemoryStatus        string
	EthernetStatus      string
	StorageStatus       string
	SimpleStorageStatus string
	Note                string `json:"note"`
}

// text is the health for people: one word, then what is not OK.
func (h *healthAnswer) text() string {
	text := *h.Status
	if text == "" {
		text = "unknown"
	}
	var bad []string
	for _, part := range []struct{ name, status string }{
		{"processor", h.ProcessorStatus},
		{"memory", h.MemoryStatus},
		{"ethernet", h.EthernetStatus},
		{"storage", h.StorageStatus},
		{"simple storage", h.SimpleStorageStatus},
	} {
		if part.status != "" && part.status != "OK" {
			bad = append(bad, part.name+" "+part.status)
		}
	}
	if len(bad) > 0 {
		text += " (" + strings.Join(bad, ", ") + ")"
	}
	if h.Note != "" {
		text += "; " + h.Note
	}
	return text
}

// bareText is any other JSON on one line, cut to what can be read.
func bareText(raw json.RawMessage) string {
	var line bytes.Buffer
	if len(raw) == 0 || json.Compact(&line, raw) != nil {
		return "done"
	}
	if line.String() == "null" {
		return "done"
	}
	text := line.String()
	if len(text) > maxShown {
		text = strings.ToValidUTF8(text[:maxShown], "") + "... (--json prints all)"
	}
	return text
}

var (
	// timePattern finds durations in a text.
	timePattern = regexp.MustCompile(`\b[0-9]+(\.[0-9]+)? ?(ms|s|m|h|µs|seconds?|minutes?)\b`)
	// ipPattern finds IP addresses, with their port.
	ipPattern = regexp.MustCompile(`\b[0-9]{1,3}(\.[0-9]{1,3}){3}(:[0-9]+)?\b|\[[0-9a-fA-F:.]+\](:[0-9]+)?`)
	// runPattern finds UUIDs, which name runs and machines.
	runPattern = regexp.MustCompile(`\b[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}\b`)
)

// common replaces what is the machine's own in a text by a word for it.
func (ans answer) common(text string) string {
	for _, own := range []struct{ value, word string }{
		{ans.run, "RUN"}, {ans.machine.uuid, "UUID"}, {ans.machine.address, "ADDRESS"}, {ans.machine.name, "NAME"},
	} {
		if own.value != "" {
			text = replaceWord(text, own.value, own.word)
		}
	}
	text = ipPattern.ReplaceAllString(text, "ADDRESS")
	text = runPattern.ReplaceAllString(text, "ID")
	return timePattern.ReplaceAllString(text, "TIME")
}

// replaceWord replaces a value where it stands as a word of its own.
func replaceWord(text, value, word string) string {
	var out strings.Builder
	from := 0 // what is not yet written
	for at := 0; ; {
		i := strings.Index(text[at:], value)
		if i < 0 {
			out.WriteString(text[from:])
			return out.String()
		}
		begin, end := at+i, at+i+len(value)
		at = end
		if begin > 0 && inWord(text[begin-1]) || end < len(text) && inWord(text[end]) {
			continue
		}
		out.WriteString(text[from:begin] + word)
		from = end
	}
}

// inWord reports whether b continues a name.
func inWord(b byte) bool {
	return b == '-' || b == '_' || '0' <= b && b <= '9' || 'a' <= b && b <= 'z' || 'A' <= b && b <= 'Z'
}
