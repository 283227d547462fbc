package slack

import "testing"

// What an edit says nothing of stays: attachments until an empty list comes, blocks
// unless a text comes in their place, as Slack documents of chat.update.
func TestWhatAnEditLeaves(t *testing.T) {
	const (
		section    = `[{"type":"section","text":{"type":"mrkdwn","text":"laid out"}}]`
		attachment = `[{"color":"#ff0000","blocks":[{"type":"section","text":{"type":"mrkdwn","text":"beside"}}]}]`
	)
	for name, c := range map[string]struct {
		fields              map[string]string
		text                string
		blocks, attachments bool
	}{
		"text alone":         {map[string]string{"text": "new"}, "new", false, true},
		"attachments alone":  {map[string]string{"attachments": attachment}, "", true, true},
		"no attachments":     {map[string]string{"text": "new", "attachments": "[]"}, "new", false, false},
		"no blocks":          {map[string]string{"text": "new", "blocks": "[]"}, "new", false, true},
		"blocks and a text":  {map[string]string{"text": "new", "blocks": section}, "new", true, true},
		"nothing but a text": {map[string]string{"text": "new", "blocks": "[]", "attachments": "[]"}, "new", false, false},
	} {
		t.Run(name, func(t *testing.T) {
			s, call := start(t, Options{Channels: []string{"C1"}})
			form := post("C1", "old")
			form.Set("blocks", section)
			form.Set("attachments", attachment)
			_, body := call("chat.postMessage", form)
			ts, _ := body["ts"].(string)
			form = post("C1", "")
			form.Set("ts", ts)
			for field, value := range c.fields {
				form.Set(field, value)
			}
			if _, body := call("chat.update", form); body["ok"] != true {
				t.Fatalf("answered %v", body)
			}
			m := s.Messages()[0]
			if m.Text != c.text || (m.Blocks != nil) != c.blocks || (m.Attachments != nil) != c.attachments {
				t.Errorf("it says %q, blocks %s, attachments %s", m.Text, m.Blocks, m.Attachments)
			}
		})
	}
}
