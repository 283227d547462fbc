package outbox

import (
	"context"
	"encoding/json"
	"time"

	"github.com/google/uuid"

	"provision-plugins/shared/model"
)

// Kind says what becomes of an entry.
type Kind string

// The kinds. An Update that was not sent yet gives way to a newer one of its
// incident; an Update of a Post that was not sent yet becomes the Post.
const (
	// Post is a message of its own; with an Incident it is the incident's root.
	Post Kind = "post"

	// Reply is a message in the thread of its Incident's root, or one of its own
	// while the incident has no root.
	Reply Kind = "reply"

	// Update edits its Incident's root in place, and is a Post while there is none.
	Update Kind = "update"
)

// severities is the number of severities, 0 being the first to be dropped.
const severities = 4

// Entry is one message.
type Entry struct {
	// ID is a random UUID, made by Put if empty. It goes out with the message, so
	// that a second delivery can be told.
	ID string `json:"id"`

	// Channel is where the message goes.
	Channel string `json:"channel"`

	// Kind is Post if empty.
	Kind Kind `json:"kind"`

	// Incident is the key of what the message is about; Reply and Update need one.
	Incident string `json:"incident,omitempty"`

	// Last says that the incident ends with it: the next message of its key begins
	// a new one.
	Last bool `json:"last,omitempty"`

	// Version orders Updates that were made one after the other and are put at
	// once: an older one that comes late says nothing. Zero for none.
	Version int64 `json:"version,omitempty"`

	// NotBefore holds it, and what follows of its incident, until a time; zero for
	// none. Others pass it by.
	NotBefore time.Time `json:"notBefore,omitzero"`

	// Merge is the key of those with which it may go out as one message, if they
	// wait one after the other; empty for none. Only a Post may.
	Merge string `json:"merge,omitempty"`

	// Note is what its incident is remembered by from now on, until its last message
	// is put; empty leaves that as it is. Box.Note tells it, also after a crash.
	Note json.RawMessage `json:"note,omitempty"`

	// Life is how long after it its incident is remembered; zero for 30 days.
	Life time.Duration `json:"life,omitempty"`

	// Severity is from 0 to 3: what is dropped first when the box is full.
	Severity int `json:"severity,omitempty"`

	// Message is what to post, of a shape that only the sender knows.
	Message json.RawMessage `json:"message"`

	// Created is the time of the Put.
	Created time.Time `json:"created"`
}

// check makes an entry whole, or says what is wrong with it.
func (e *Entry) check(now time.Time) error {
	if e.Kind == "" {
		e.Kind = Post
	}
	switch {
	case e.Channel == "":
		return model.Errorf(model.Invalid, "cannot keep a message without a channel")
	case e.Kind != Post && e.Kind != Reply && e.Kind != Update:
		return model.Errorf(model.Invalid, "cannot keep a message of kind %q", e.Kind)
	case e.Kind != Post && e.Incident == "":
		return model.Errorf(model.Invalid, "cannot keep a %s of no incident", e.Kind)
	case e.Severity < 0 || e.Severity >= severities:
		return model.Errorf(model.Invalid, "cannot keep a message of severity %d", e.Severity)
	case e.Last && e.Incident == "":
		return model.Errorf(model.Invalid, "cannot keep the last message of no incident")
	case e.Merge != "" && (e.Kind != Post || e.Incident != ""):
		return model.Errorf(model.Invalid, "cannot keep a %s of incident %q to be merged", e.Kind, e.Incident)
	case len(e.Message) > maxMessage:
		return model.Errorf(model.Invalid, "cannot keep a message of %d bytes; %d are the most", len(e.Message), maxMessage)
	case len(e.Note) > maxNote || len(e.Note) > 0 && e.Incident == "":
		return model.Errorf(model.Invalid, "cannot keep a note of %d bytes on incident %.40q", len(e.Note), e.Incident)
	}
	if e.ID == "" {
		e.ID = uuid.NewString()
	}
	e.Created = now.UTC()
	return nil
}

// Delivery is an entry with what its delivery has come to.
type Delivery struct {
	Entry

	// Root is the timestamp of the incident's root, empty while there is none. A
	// Reply goes below it, an Update edits it.
	Root string

	// Plain asks for the message without its layout, which was refused.
	Plain bool

	// Attempt counts from 1.
	Attempt int

	// Since is when the first attempt that may have come through began; Unlikely
	// says that none did, as far as anybody can tell.
	Since    time.Time
	Unlikely bool
}

// Sender puts messages where people read them. Both methods answer with the
// timestamp that names the message there.
type Sender interface {
	// Send delivers once, without retries of its own. Every error that is not a
	// *Failure leaves open whether the message was posted.
	Send(ctx context.Context, d Delivery) (string, error)

	// Find looks for a message that may have been posted, by its entry's ID; an
	// empty timestamp says that it was not. An error leaves it open; ErrBlind says
	// that it cannot be told here.
	Find(ctx context.Context, d Delivery) (string, error)
}

// Verdict says what a Failure means.
type Verdict int

const (
	// Doubt says that it may have been posted. It is looked up before it is sent again.
	Doubt Verdict = iota

	// Later says that it was not posted.
	Later

	// NoRoot says that the root is not there any more; the message goes out on its own.
	NoRoot

	// NoLayout says that the layout was refused; the message goes out plain, once.
	NoLayout

	// NoChannel says that the channel was refused; the message goes to the fallback, once.
	NoChannel

	// Never says that no attempt can succeed; the message is given up.
	Never
)

// Failure is an error of a Sender that says what it means.
type Failure struct {
	Verdict Verdict

	// Pause is how long to rest, 0 for a growing pause of the outbox's own.
	Pause time.Duration

	// All says that all channels rest, not only this one.
	All bool

	// Unlikely says of a Doubt that the message was probably not posted: who cannot
	// look it up takes it for that.
	Unlikely bool

	// Err is the cause. It holds no secret.
	Err error
}

// Error is the cause's text.
func (f *Failure) Error() string { return f.Err.Error() }

// Unwrap is the cause.
func (f *Failure) Unwrap() error { return f.Err }
