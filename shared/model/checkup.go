package model

import "cmp"

// Verdict is how a check of a Checkup ended.
type Verdict string

// The verdicts, from good to bad. A check is skipped where one before it leaves
// it nothing to look at.
const (
	VerdictOK      Verdict = "ok"
	VerdictSkipped Verdict = "skipped"
	VerdictWarning Verdict = "warning" // works, and should be looked at
	VerdictFailed  Verdict = "failed"
)

// verdictRank orders verdicts.
var verdictRank = map[Verdict]int{VerdictOK: 0, VerdictSkipped: 1, VerdictWarning: 2, VerdictFailed: 3}

// Check is one rung of a Checkup. Its texts are plain words, one line each.
type Check struct {
	// Name is a word or two: "login".
	Name    string  `json:"name"`
	Verdict Verdict `json:"verdict"`
	// Found is what was seen.
	Found string `json:"found,omitempty"`
	// Cause is why the verdict is not ok.
	Cause string `json:"cause,omitempty"`
	// Mend is what to do about it.
	Mend string `json:"mend,omitempty"`
	// Kind is what an action would fail with; set if and only if the check
	// failed.
	Kind Kind `json:"kind,omitempty"`
}

// Checkup is the answer of the doctor action of every driver: a ladder of checks
// of all that is between here and the device, in the order in which they need one
// another.
type Checkup struct {
	// Verdict is the worst of the checks that were not skipped.
	Verdict Verdict `json:"verdict"`
	Checks  []Check `json:"checks"`
	TookMs  int64   `json:"tookMs"`
	Driver  string  `json:"driver,omitempty"`
}

// Add appends a check and keeps Verdict and Kind as they should be.
func (c *Checkup) Add(check Check) {
	switch {
	case check.Verdict != VerdictFailed:
		check.Kind = ""
	case check.Kind == "":
		check.Kind = Internal
	}
	c.Checks = append(c.Checks, check)
	c.Verdict = cmp.Or(c.Verdict, VerdictOK)
	if check.Verdict != VerdictSkipped && verdictRank[check.Verdict] > verdictRank[c.Verdict] {
		c.Verdict = check.Verdict
	}
}

// Check returns the check of a name, nil if there is none.
func (c *Checkup) Check(name string) *Check {
	for i := range c.Checks {
		if c.Checks[i].Name == name {
			return &c.Checks[i]
		}
	}
	return nil
}

// Failed returns the failed check of the worst kind, the first of several; nil
// if none failed.
func (c *Checkup) Failed() *Check {
	var worst *Check
	for i := range c.Checks {
		check := &c.Checks[i]
		if check.Verdict != VerdictFailed {
			continue
		}
		if worst == nil || check.Kind.Info().Exit > worst.Kind.Info().Exit {
			worst = check
		}
	}
	return worst
}

// Err is the failed check of the worst kind as an error, nil if none failed.
func (c *Checkup) Err() error {
	check := c.Failed()
	if check == nil {
		return nil
	}
	text := check.Name + ": " + check.Cause
	if check.Mend != "" {
		text += "; " + check.Mend
	}
	return Errorf(check.Kind, "%s", text)
}
