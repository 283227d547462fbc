package route

import (
	"fmt"
	"time"

	"provision-plugins/slack/notice"
)

// QuietHours are a time of the day at which only what is severe is told; the rest
// is told when they end.
type QuietHours struct {
	// From and To are times of the day, as "22:00"; To may be earlier.
	From string `json:"from"`
	To   string `json:"to"`

	// Zone is a time zone, as "Europe/Berlin"; UTC if empty.
	Zone string `json:"zone,omitempty"`

	// Except is the least severity that is told at once; critical if empty.
	Except string `json:"except,omitempty"`
}

// quiet is checked QuietHours; from and to are minutes of the day.
type quiet struct {
	from, to int
	zone     *time.Location
	except   notice.Severity
}

// parse checks quiet hours; none are none.
func (q *QuietHours) parse() (*quiet, error) {
	if q == nil {
		return nil, nil
	}
	out := &quiet{except: notice.Critical}
	for _, f := range []struct {
		name, text string
		to         *int
	}{{"from", q.From, &out.from}, {"to", q.To, &out.to}} {
		at, err := time.Parse("15:04", f.text)
		if err != nil {
			return nil, fmt.Errorf("%s: %q is no time of the day such as 22:00", f.name, f.text)
		}
		*f.to = at.Hour()*60 + at.Minute()
	}
	if out.from == out.to {
		return nil, fmt.Errorf("from and to are the same")
	}
	var err error
	if out.zone, err = time.LoadLocation(q.Zone); err != nil {
		return nil, fmt.Errorf("zone: %q is no time zone such as Europe/Berlin", q.Zone)
	}
	if q.Except != "" {
		if out.except, err = notice.ParseSeverity(q.Except); err != nil {
			return nil, fmt.Errorf("except: %w", err)
		}
	}
	return out, nil
}

// end is when the quiet hours of now end; zero if there are none now.
func (q *quiet) end(now time.Time) time.Time {
	local := now.In(q.zone)
	minute := local.Hour()*60 + local.Minute()
	day := 0
	switch {
	case q.from < q.to && (minute < q.from || minute >= q.to):
		return time.Time{}
	case q.from > q.to && minute >= q.from:
		day = 1
	case q.from > q.to && minute >= q.to:
		return time.Time{}
	}
	return time.Date(local.Year(), local.Month(), local.Day()+day, q.to/60, q.to%60, 0, 0, q.zone)
}
