package poster

import (
	"context"
	"errors"
	"fmt"
	"strings"

	api "github.com/slack-go/slack"

	"provision-plugins/slack/outbox"
)

// File is a text that is too long for a message.
type File struct {
	// Name is what it is called, without an ending.
	Name string `json:"name"`

	// Content is what is in it.
	Content string `json:"content"`
}

// name is the name under which it is uploaded: no other upload has it, so that it
// can be told whether it is there.
func (f *File) name(id string) string {
	clean := strings.Map(func(r rune) rune {
		if r == '-' || r == '.' || r >= '0' && r <= '9' || r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' {
			return r
		}
		return '_'
	}, cut(f.Name, maxName))
	return clean + "-" + id + ".txt"
}

// maxName bounds the part of a file's name that people chose, in characters.
const maxName = 80

// upload puts a file into a thread, or into a channel: it is announced, brought
// and then shared, and only the last can show anything to anybody. What an app may
// not upload goes out as text.
func (p *Poster) upload(ctx context.Context, d outbox.Delivery, f *File) (string, error) {
	name := f.name(d.ID)
	where, err := p.api.GetUploadURLExternalContext(ctx, api.GetUploadURLExternalParameters{FileName: name, FileSize: len(f.Content), SnippetType: "text"})
	if err != nil {
		return "", p.unshared(err)
	}
	err = p.api.UploadToURL(ctx, api.UploadToURLParameters{UploadURL: where.UploadURL, Filename: name, Content: f.Content})
	if err != nil {
		return "", p.unshared(fmt.Errorf("cannot bring a file: %w", err))
	}
	params := api.CompleteUploadExternalParameters{Files: []api.FileSummary{{ID: where.FileID, Title: f.Name}}, Channel: d.Channel}
	if d.Kind == outbox.Reply {
		params.ThreadTimestamp = d.Root
	}
	if _, err := p.api.CompleteUploadExternalContext(ctx, params); err != nil {
		if Code(err) == "missing_scope" {
			return "", &outbox.Failure{Verdict: outbox.NoLayout, Err: errors.New(p.Clean(err))}
		}
		return "", p.judge(err)
	}
	return where.FileID, nil
}

// unshared is what an error means before anything is shared: the file is not
// posted. What Slack refuses goes out as text.
func (p *Poster) unshared(err error) error {
	f := &outbox.Failure{}
	if judged := p.judge(err); !errors.As(judged, &f) {
		return judged
	}
	switch code := Code(err); {
	case RefusesToken(code):
	case code != "" && f.Pause == 0, code == "missing_scope":
		f.Verdict, f.Pause, f.All = outbox.NoLayout, 0, false
	default:
		f.Verdict, f.Unlikely = outbox.Later, false
	}
	return f
}
