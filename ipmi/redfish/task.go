package redfish

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"provision-plugins/shared/model"
)

// The states of a task that has ended (Task, TaskState).
var (
	taskDone   = []string{"Completed"}
	taskFailed = []string{"Exception", "Killed", "Cancelled", "Interrupted"}
)

// The waits between two looks at a task, where the BMC does not say.
const (
	firstTaskGap = 100 * time.Millisecond
	maxTaskGap   = 2 * time.Second
)

// taskBody is a task, or its monitor.
type taskBody struct {
	ID       string `json:"@odata.id"`
	Monitor  string `json:"TaskMonitor"`
	State    string `json:"TaskState"`
	Status   string `json:"TaskStatus"`
	Messages []struct {
		Text string `json:"Message"`
	} `json:"Messages"`
}

// follow waits for the end of the task that an answer of 202 began (DSP0266 §12),
// as long as there is time. A task that failed, or whose end is not seen, may have
// done what it was for.
func (b *bmc) follow(ctx context.Context, q ask, a *answer) (*answer, error) {
	if a.status != http.StatusAccepted || q.method == http.MethodGet {
		return a, nil
	}
	path := monitorOf(a)
	if path == "" {
		return a, nil // taken, and nothing to follow
	}
	gap := firstTaskGap
	for {
		if !wait(ctx, gap) {
			return nil, b.unfollowed(q, path, ctx.Err())
		}
		now, err := b.do(ctx, ask{method: http.MethodGet, path: path, class: model.Read})
		if err != nil {
			return nil, b.taskError(q, path, err)
		}
		var t taskBody
		if len(now.body) > 0 && json.Unmarshal(now.body, &t) != nil {
			return nil, b.taskError(q, path, errBody)
		}
		switch {
		case slices.Contains(taskFailed, t.State):
			return nil, b.taskError(q, path, errors.New("it ended as "+t.State+t.words()))
		case slices.Contains(taskDone, t.State), now.status != http.StatusAccepted && t.State == "":
			return now, nil
		}
		gap = max(min(gap*2, maxTaskGap), retryAfter(now.header.Get("Retry-After")))
	}
}

// words are the messages of a task.
func (t *taskBody) words() string {
	var all []string
	for _, m := range t.Messages {
		if m.Text != "" {
			all = append(all, m.Text)
		}
	}
	if len(all) == 0 {
		return ""
	}
	text := strings.Join(strings.Fields(strings.Join(all, " ")), " ")
	return ": " + text[:min(len(text), maxMessage)]
}

// monitorOf is where a task can be followed.
func monitorOf(a *answer) string {
	if u, err := url.Parse(a.header.Get("Location")); err == nil && u.Path != "" {
		return u.RequestURI()
	}
	var t taskBody
	if json.Unmarshal(a.body, &t) != nil {
		return ""
	}
	if t.Monitor != "" {
		return t.Monitor
	}
	return t.ID
}

// unfollowed is the error of a task whose end did not come in time.
func (b *bmc) unfollowed(q ask, path string, cause error) error {
	if cause == nil {
		cause = context.DeadlineExceeded
	}
	return model.Errorf(taskKind(q), "BMC %s: task %s has not ended in time: %w", b.key.peer, path, cause)
}

// taskError is the error of a task that failed, or of which nothing can be seen.
func (b *bmc) taskError(q ask, path string, err error) error {
	return model.Errorf(taskKind(q), "BMC %s: task %s: %w", b.key.peer, path, err)
}

// taskKind is the kind of what became of a task.
func taskKind(q ask) model.Kind {
	if q.class == model.Once {
		return model.UnknownOutcome
	}
	return model.Timeout
}
