package endpoint

import (
	"log/slog"
	"strings"
	"testing"

	"provision-plugins/shared/client"
	"provision-plugins/shared/model"
)

func TestWhatAPluginSendsOfItsOwnAccord(t *testing.T) {
	t.Parallel()
	r := start(t, "toy")
	r.machine("m1", nil)
	if err := r.c.Post(t.Context(), "plugins/toy/params/toy%2Fpassword", "plug-s3cr3t", nil); err != nil {
		t.Fatal(err)
	}
	eventually(t, "configured", func() bool { return strings.Contains(strings.Join(r.lines("config-toy"), ""), "plug-s3cr3t") })
	r.ready("toy")
	sub, err := r.e.hub.Subscribe("*.*.*")
	if err != nil {
		t.Fatal(err)
	}
	defer sub.Close()
	if _, err := r.c.Invoke(t.Context(), client.ActionRequest{Prefix: "plugins", Key: "toy", Command: "getTalk"}); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"toys.talk.k", "toys.end."} {
		e, err := sub.Next(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		raw, err := model.Marshal(e)
		if err != nil || name(e) != want || e.Principal != "plugin:toy" || e.Time.IsZero() || strings.Contains(string(raw), "pw-12345") || strings.Contains(string(raw), "plug-s3cr3t") {
			t.Errorf("want %s, got %s, %v", want, raw, err)
		}
	}
	for _, text := range []string{"toy talks", "toy logs in with " + model.Masked, "level=WARN msg=\"toy warns", "event of a plugin dropped", "tired"} {
		eventually(t, text+" in the log", func() bool { return strings.Contains(r.log.String(), text) })
	}
	if strings.Contains(r.log.String(), strings.Repeat("w", maxLine+1)) {
		t.Error("a line is not bounded")
	}
	if strings.Contains(r.log.String(), "plug-s3cr3t") {
		t.Error("the plugin's secret is in the log")
	}
}

func TestAPluginListsObjects(t *testing.T) {
	t.Parallel()
	r := start(t, "toy")
	r.machine("m1", nil)
	h := &handler{unit: r.e.sup.unit("toy")}
	list, err := h.Objects(t.Context(), "machines")
	if err != nil || len(list) != 1 || strings.Contains(string(list[0]), "s3cr3t") || !strings.Contains(string(list[0]), "m1") {
		t.Errorf("got %s, %v", list, err)
	}
	_, err = h.Objects(t.Context(), "freds")
	wantError(t, err, model.NotFound, "freds")
}

func TestLogLevels(t *testing.T) {
	t.Parallel()
	for word, want := range map[string]slog.Level{
		"trace": slog.LevelDebug, "debug": slog.LevelDebug, "": slog.LevelDebug, "info": slog.LevelInfo, "audit": slog.LevelInfo,
		"warn": slog.LevelWarn, "error": slog.LevelError, "fatal": slog.LevelError, "panic": slog.LevelError,
	} {
		if got := logLevel(word); got != want {
			t.Errorf("%s: %v, want %v", word, got, want)
		}
	}
}
