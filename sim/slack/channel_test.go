package slack

import (
	"encoding/json"
	"io"
	"mime/multipart"
	"net/http"
	"net/url"
	"strings"
	"testing"
)

// several is a workspace with a channel of each kind.
func several(t *testing.T, scopes ...string) (*Server, func(method string, form url.Values) map[string]any) {
	t.Helper()
	s, call := start(t, Options{Scopes: scopes, Users: []User{{ID: "U1", Name: "alice"}, {ID: "U2"}}})
	for _, c := range []Channel{
		{ID: "C1", Name: "ops", Members: []string{"U1"}},
		{ID: "C2", Name: "public", Outside: true},
		{ID: "C3", Name: "secret", Private: true},
		{ID: "C4", Name: "hidden", Private: true, Outside: true},
		{ID: "C5", Name: "old"},
	} {
		s.SetChannel(c)
	}
	s.SetChannel(Channel{ID: "C5", Name: "old", Archived: true})
	return s, func(method string, form url.Values) map[string]any {
		t.Helper()
		_, body := call(method, form)
		return body
	}
}

func TestWhoMayPostWhere(t *testing.T) {
	for _, c := range []struct {
		method, channel, want string
		scopes                []string
	}{
		{"chat.postMessage", "C1", "", nil},
		{"chat.postMessage", "#ops", "", nil},
		{"chat.postMessage", "ops", "", nil},
		{"chat.postMessage", "C2", "", nil},
		{"chat.postMessage", "C2", "not_in_channel", []string{"chat:write"}},
		{"chat.postMessage", "C2", "", []string{"chat:write", "chat:write.public"}},
		{"chat.postMessage", "C3", "", []string{"chat:write"}},
		{"chat.postMessage", "C4", "channel_not_found", nil},
		{"chat.postMessage", "C5", "is_archived", nil},
		{"chat.postMessage", "U1", "", nil},
		{"chat.postMessage", "D2", "", nil},
		{"chat.postMessage", "D9", "channel_not_found", []string{"chat:write"}},
		{"chat.postEphemeral", "C1", "", nil},
		{"chat.postEphemeral", "C5", "is_archived", nil},
		{"conversations.history", "C2", "not_in_channel", nil},
		{"conversations.history", "C4", "channel_not_found", nil},
		{"conversations.history", "C5", "", nil},
		{"conversations.replies", "C2", "not_in_channel", nil},
		{"conversations.replies", "C1", "thread_not_found", nil},
		{"conversations.info", "C2", "", nil},
		{"conversations.info", "C4", "channel_not_found", nil},
		{"chat.update", "C4", "channel_not_found", nil},
		{"chat.update", "C1", "message_not_found", nil},
		{"chat.delete", "C4", "channel_not_found", nil},
		{"reactions.add", "C4", "channel_not_found", nil},
		{"reactions.add", "C1", "message_not_found", nil},
		{"chat.getPermalink", "C4", "channel_not_found", nil},
		{"chat.getPermalink", "C1", "message_not_found", nil},
		{"conversations.members", "C4", "channel_not_found", nil},
	} {
		s, call := several(t, c.scopes...)
		s.anyChannel = false
		form := post(c.channel, "x")
		form.Set("user", "U1")
		body := call(c.method, form)
		if got, _ := body["error"].(string); got != c.want {
			t.Errorf("%s in %s with %v: %q, want %q", c.method, c.channel, c.scopes, got, c.want)
		}
	}
}

func TestChannelsAreListed(t *testing.T) {
	_, call := several(t)
	for query, want := range map[string]string{
		"":                                     "C1 C2 C5",
		"exclude_archived=true":                "C1 C2",
		"types=private_channel":                "C3",
		"types=public_channel,private_channel": "C1 C2 C3 C5",
		"types=im":                             "",
		"limit=2":                              "C1 C2 next",
		"limit=2&cursor=2":                     "C5",
		"cursor=77":                            "",
	} {
		form, err := url.ParseQuery(query)
		if err != nil {
			t.Fatal(err)
		}
		form.Set("token", "x")
		body := call("conversations.list", form)
		var got []string
		list, _ := body["channels"].([]any)
		for _, c := range list {
			id, _ := c.(map[string]any)["id"].(string)
			got = append(got, id)
		}
		if meta, _ := body["response_metadata"].(map[string]any); meta["next_cursor"] != "" {
			got = append(got, "next")
		}
		if strings.Join(got, " ") != want {
			t.Errorf("%s: %v, want %s", query, got, want)
		}
	}
}

func TestChannelsAreJoined(t *testing.T) {
	s, call := several(t, "channels:join", "chat:write", "channels:read", "im:write")
	if body := call("conversations.join", post("C2", "")); body["ok"] != true {
		t.Errorf("answered %v", body)
	}
	if body := call("chat.postMessage", post("C2", "x")); body["ok"] != true {
		t.Errorf("answered %v", body)
	}
	for channel, want := range map[string]string{"C1": `["U1"]`, "C2": `["U1","U2"]`} {
		raw, _ := json.Marshal(call("conversations.members", post(channel, ""))["members"])
		if string(raw) != want {
			t.Errorf("members of %s: %s", channel, raw)
		}
	}
	body := call("conversations.open", url.Values{"token": {"x"}, "users": {"U2"}})
	if c, _ := body["channel"].(map[string]any); c["id"] != "D2" || s.Where("D2") != "@u2" || s.Where("C1") != "#ops" {
		t.Errorf("answered %v; %s, %s", body, s.Where("D2"), s.Where("C1"))
	}
	if body := call("conversations.open", url.Values{"token": {"x"}, "users": {"U9"}}); body["error"] != "user_not_found" {
		t.Errorf("answered %v", body)
	}
	form := post("C1", "x")
	form.Set("user", "U2")
	if body := call("chat.postEphemeral", form); body["error"] != "user_not_in_channel" {
		t.Errorf("answered %v", body)
	}
}

func TestReactionsAndLinks(t *testing.T) {
	s, call := several(t)
	ts, _ := call("chat.postMessage", post("C1", "x"))["ts"].(string)
	react := func(name string) any {
		return call("reactions.add", url.Values{"token": {"x"}, "channel": {"C1"}, "timestamp": {ts}, "name": {name}})["error"]
	}
	for _, c := range []struct {
		name string
		want any
	}{{"eyes", nil}, {"eyes", "already_reacted"}, {"", "invalid_name"}, {":eyes:", "invalid_name"}, {"fire", nil}} {
		if got := react(c.name); got != c.want {
			t.Errorf("%q: %v, want %v", c.name, got, c.want)
		}
	}
	if got := s.Messages()[0].Reactions; strings.Join(got, " ") != "eyes fire" {
		t.Errorf("reactions %v", got)
	}
	body := call("chat.getPermalink", url.Values{"token": {"x"}, "channel": {"C1"}, "message_ts": {ts}})
	if link, _ := body["permalink"].(string); !strings.HasSuffix(link, "/archives/C1/p"+strings.ReplaceAll(ts, ".", "")) {
		t.Errorf("answered %v", body)
	}
}

// TestMetadataTakesAScope reads messages with and without the scope for metadata.
func TestMetadataTakesAScope(t *testing.T) {
	for _, scopes := range [][]string{{"chat:write", "channels:history"}, {"chat:write", "channels:history", "metadata.message:read"}} {
		_, call := several(t, scopes...)
		form := post("C1", "x")
		form.Set("metadata", `{"event_type":"oob","event_payload":{"id":"1"}}`)
		form.Set("reply_broadcast", "true")
		call("chat.postMessage", form)
		form.Set("include_all_metadata", "true")
		raw, _ := json.Marshal(call("conversations.history", form))
		if has := strings.Contains(string(raw), `"event_type":"oob"`); has != (len(scopes) == 3) {
			t.Errorf("with %v: %s", scopes, raw)
		}
	}
	_, call := several(t)
	for metadata, want := range map[string]any{
		`{"event_type":"","event_payload":null}`:  nil,
		`{"event_type":"x","event_payload":{}}`:   nil,
		`{"event_type":"x"}`:                      "invalid_metadata_schema",
		`{"event_payload":{}}`:                    "invalid_metadata_schema",
		`{"event_type":"x","event_payload":"no"}`: "invalid_metadata_format",
		`[]`: "invalid_metadata_format",
	} {
		form := post("C1", "x")
		form.Set("metadata", metadata)
		if got := call("chat.postMessage", form)["error"]; got != want {
			t.Errorf("%s: %v, want %v", metadata, got, want)
		}
	}
}

// TestBroadcastReplies shows a reply in its channel too.
func TestBroadcastReplies(t *testing.T) {
	s, call := several(t)
	ts, _ := call("chat.postMessage", post("C1", "root"))["ts"].(string)
	form := post("C1", "reply")
	form.Set("thread_ts", ts)
	form.Set("reply_broadcast", "true")
	call("chat.postMessage", form)
	if list, _ := call("conversations.history", post("C1", ""))["messages"].([]any); len(list) != 2 || !s.Messages()[1].Broadcast {
		t.Errorf("history %v", list)
	}
}

// upload sends a file to an address.
func upload(t *testing.T, at any, kind string, body io.Reader) int {
	t.Helper()
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	to, _ := at.(string)
	resp, err := client.Post(to, kind, body)
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	return resp.StatusCode
}

func TestFiles(t *testing.T) {
	s, call := several(t)
	ts, _ := call("chat.postMessage", post("C1", "root"))["ts"].(string)
	ask := func() map[string]any {
		return call("files.getUploadURLExternal", url.Values{"token": {"x"}, "filename": {"out.txt"}, "length": {"5"}})
	}
	share := func(id any, more ...string) any {
		text, _ := id.(string)
		form := url.Values{"token": {"x"}, "files": {`[{"id":"` + text + `","title":"Output"}]`}}
		for i := 0; i+1 < len(more); i += 2 {
			form.Set(more[i], more[i+1])
		}
		return call("files.completeUploadExternal", form)["error"]
	}
	one := ask()
	if got := share(one["file_id"], "channel_id", "C1"); got != "file_not_found" {
		t.Errorf("before the upload: %v", got)
	}
	if code := upload(t, one["upload_url"], "application/octet-stream", strings.NewReader("hello")); code != 200 {
		t.Errorf("uploaded: %d", code)
	}
	if code := upload(t, one["upload_url"], "application/octet-stream", strings.NewReader("hello")); code != 404 {
		t.Errorf("uploaded again: %d", code)
	}
	for channel, want := range map[string]string{"C4": "channel_not_found", "C5": "is_archived"} {
		if got := share(one["file_id"], "channel_id", channel); got != want {
			t.Errorf("shared in %s: %v", channel, got)
		}
	}
	if got := share(one["file_id"], "channel_id", "C1", "thread_ts", "1.0"); got != "invalid_thread_ts" {
		t.Errorf("shared in no thread: %v", got)
	}
	if got := share(one["file_id"], "channel_id", "C1", "thread_ts", ts, "initial_comment", "all of it"); got != nil {
		t.Errorf("shared: %v", got)
	}
	m := s.Messages()[1]
	if len(m.Files) != 1 || m.Files[0].Content != "hello" || m.Files[0].Title != "Output" || m.ThreadTS != ts || m.Text != "all of it" {
		t.Errorf("kept %+v", m)
	}
	if got := share(one["file_id"], "channel_id", "C1"); got != "file_not_found" {
		t.Errorf("shared again: %v", got)
	}
	raw, _ := json.Marshal(call("conversations.replies", url.Values{"token": {"x"}, "channel": {"C1"}, "ts": {ts}}))
	if !strings.Contains(string(raw), `"subtype":"file_share"`) {
		t.Errorf("replies %s", raw)
	}
}

// TestFilesOfForms uploads as browsers do, and what is not as it was said to be.
func TestFilesOfForms(t *testing.T) {
	s, call := several(t)
	ask := func(length string) map[string]any {
		return call("files.getUploadURLExternal", url.Values{"token": {"x"}, "filename": {"out.txt"}, "length": {length}})
	}
	for _, length := range []string{"", "0", "-1", "x"} {
		if got := ask(length)["error"]; got != "invalid_arguments" {
			t.Errorf("length %q: %v", length, got)
		}
	}
	var body strings.Builder
	form := multipart.NewWriter(&body)
	part, err := form.CreateFormFile("file", "out.txt")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := part.Write([]byte("hello!")); err != nil || form.Close() != nil {
		t.Fatal(err)
	}
	to := ask("5")["upload_url"]
	s.Fail("upload", Fault{Status: 500, Error: "internal_error"})
	if code := upload(t, to, form.FormDataContentType(), strings.NewReader(body.String())); code != 500 {
		t.Errorf("uploaded with a fault: %d", code)
	}
	if code := upload(t, to, form.FormDataContentType(), strings.NewReader(body.String())); code != 200 {
		t.Errorf("uploaded: %d", code)
	}
	if told := s.Complaints(); len(told) != 1 || !strings.Contains(told[0], "was said to have 5 bytes and has 6") {
		t.Errorf("complained %q", told)
	}
	if code := upload(t, ask("1")["upload_url"], "text/plain", strings.NewReader(strings.Repeat("x", maxBody+1))); code != 400 {
		t.Errorf("a file over the bound: %d", code)
	}
	for _, files := range []string{"", "{", "[]"} {
		if got := call("files.completeUploadExternal", url.Values{"token": {"x"}, "files": {files}})["error"]; got != "invalid_arguments" {
			t.Errorf("files %q: %v", files, got)
		}
	}
}
