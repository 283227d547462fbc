package scripts

import (
	"os"
	"strings"
	"testing"
)

// page is the page for users.
const page = "../../docs/ipmi-content.md"

// The run that the page shows is what scripts print. OOB_UPDATE=1 writes it.
func TestPageShowsRun(t *testing.T) {
	t.Parallel()
	r := newRig(t, board(device(32, 674, 256))...)
	r.vendor = "Dell Inc."
	r.install("racadm")
	set := static(params{"ipmi/configure/user": true, "ipmi/configure/generate-random-password": true, "ipmi/configure/hostname": "bmc1"})
	var shown strings.Builder
	for _, task := range []string{"ipmi-discover", "ipmi-configure", "ipmi-run-commands", "ipmi-inventory", "ipmi-network-validation"} {
		if task == "ipmi-inventory" {
			r.answers = append(r.answers, says("ipmitool lan print 1", lanStatic))
		}
		res := r.run(task, set)
		r.ok(res, "")
		shown.WriteString("    # " + task + "\n")
		for line := range strings.Lines(res.out + res.errs) {
			shown.WriteString("    " + line)
		}
	}
	text, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	const begin, end = "<!-- run: what ipmi/scripts prints -->\n\n", "\n<!-- end of run -->"
	head, rest, ok := strings.Cut(string(text), begin)
	now, tail, ended := strings.Cut(rest, end)
	if !ok || !ended {
		t.Fatalf("%s has no place for the run", page)
	}
	if now == shown.String() {
		return
	}
	if os.Getenv("OOB_UPDATE") != "1" {
		t.Fatalf("%s does not show what is printed; OOB_UPDATE=1 writes it:\n%s", page, shown.String())
	}
	if err := os.WriteFile(page, []byte(head+begin+shown.String()+end+tail), 0o644); err != nil { //nolint:gosec // a page that all may read
		t.Fatal(err)
	}
}

// Every quirk and every stage is on the page.
func TestPageIsWhole(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	table, _ := pack(t).Sections["templates"]["ipmi-quirks.tsv"]["Contents"].(string)
	for line := range strings.Lines(table) {
		cells := strings.Split(strings.TrimSpace(line), "\t")
		if strings.HasPrefix(line, "#") || len(cells) != 5 {
			continue
		}
		for name := range strings.FieldsSeq(cells[4]) {
			if !strings.Contains(string(text), "| `"+name+"` |") {
				t.Errorf("the page lacks %s", name)
			}
		}
	}
	for _, section := range []string{"stages", "tasks"} {
		for name := range pack(t).Sections[section] {
			if !strings.Contains(string(text), name) {
				t.Errorf("the page lacks %s", name)
			}
		}
	}
}
