package redfish

import (
	"fmt"
	"net/http"
	"path"
	"strings"
	"time"
)

// The states of tasks (Task, TaskState).
const (
	running   = "Running"
	completed = "Completed"
	exception = "Exception"
)

// task is something that takes longer (Task).
type task struct {
	id, name   string
	began, end time.Time
	state      string
	do         func() // nil when it has been done
}

// start begins a task that does what is named, and answers where it can be followed
// (DSP0266 §12).
func (x *exchange) start(name string, do func()) answer {
	b, d := x.b, x.b.fleet.dialect
	if len(b.tasks) >= maxTasks {
		b.tasks = append(b.tasks[:0:0], b.tasks[1:]...)
	}
	b.did("task start")
	t := task{
		id: fmt.Sprintf("%s%d", d.taskPrefix, b.counts["task start"]), name: name,
		began: x.now, end: x.now.Add(b.fleet.opts.TaskTime), state: running,
		do: func() { b.did(name); do() },
	}
	b.tasks = append(b.tasks, t)
	b.settleTasks(x.now)
	r := b.fleet.store.resources[root+"/TaskService/Tasks/*"]
	body := x.view().show(r, t.id)
	where := b.fleet.store.href(root + "/TaskService/TaskMonitors/" + t.id)
	if d.taskPrefix != "" {
		where = b.fleet.store.href(path.Dir(r.path) + "/" + t.id)
	}
	return answer{status: http.StatusAccepted, body: body, header: map[string]string{"Location": where, "Retry-After": "1"}}
}

// settleTasks ends the tasks whose time is over.
func (b *BMC) settleTasks(now time.Time) {
	for i := range b.tasks {
		t := &b.tasks[i]
		if t.state != running || t.end.After(now) || b.faults.TasksHang {
			continue
		}
		t.state = exception
		if !b.faults.TasksFail {
			t.state = completed
			t.do()
		}
		t.do = nil
	}
}

// task returns the task with an Id; nil if there is none.
func (b *BMC) task(id string) *task {
	for i := range b.tasks {
		if b.tasks[i].id == id {
			return &b.tasks[i]
		}
	}
	return nil
}

// percent is how far a task is.
func (t *task) percent(now time.Time) int {
	whole := t.end.Sub(t.began)
	if t.state != running {
		return 100
	}
	if whole <= 0 || !now.Before(t.end) {
		return 99
	}
	return int(100 * now.Sub(t.began) / whole)
}

// monitor answers a GET of a task monitor: what the task is, until it has ended;
// then what the request would have been answered at once.
func (x *exchange) monitor() answer {
	switch t := x.b.task(x.id); t.state {
	case running:
		body := x.view().show(x.b.fleet.store.resources[root+"/TaskService/Tasks/*"], x.id)
		return answer{status: http.StatusAccepted, body: body, header: map[string]string{"Retry-After": "1", "Location": x.r.URL.Path}}
	case exception:
		return x.fail(http.StatusInternalServerError, msgInternal)
	}
	return x.success(x.b.fleet.dialect.action)
}

// dropTask is a DELETE of a task: it is forgotten, and does not happen if it has not.
func (x *exchange) dropTask() answer {
	for i := range x.b.tasks {
		if x.b.tasks[i].id == x.id {
			x.b.tasks = append(x.b.tasks[:i:i], x.b.tasks[i+1:]...)
			break
		}
	}
	x.b.did("task delete")
	return x.success(x.b.fleet.dialect.remove)
}

// importConfiguration is the action by which some BMCs take a whole profile: it is
// always a task. Of the profile only that the next boot is from the virtual CD is
// looked for.
func (x *exchange) importConfiguration() answer {
	buffer, _ := x.body["ImportBuffer"].(string)
	if buffer == "" {
		return x.fail(http.StatusBadRequest, msgMissing, "ImportBuffer")
	}
	return x.start("import configuration", func() { x.b.importProfile(buffer) })
}

// importProfile does what a profile says of the next boot (iDRAC.ServerBoot).
func (b *BMC) importProfile(profile string) {
	if strings.Contains(profile, "VCD-DVD") && strings.Contains(profile, "Enabled") {
		b.machines[0].boot.enabled, b.machines[0].boot.target = "Once", "Cd"
	}
}
