package main

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"time"

	"github.com/gorilla/websocket"

	"provision-plugins/shared/model"
	"provision-plugins/shared/plugin"
)

// startEvents serves the event stream of an endpoint on which nothing happens:
// a plugin that selects its events is not configured without one. It returns the
// environment that leads a plugin there.
func startEvents() (server *httptest.Server, env []string) {
	mux := http.NewServeMux()
	mux.HandleFunc("/api/v3/ws", acknowledge)
	server = httptest.NewServer(mux)
	return server, []string{plugin.EnvEndpoint + "=" + server.URL, "RS_TOKEN=bench"}
}

// acknowledge acknowledges every pattern until the plugin leaves.
func acknowledge(w http.ResponseWriter, r *http.Request) {
	var upgrader websocket.Upgrader
	conn, err := upgrader.Upgrade(w, r, nil)
	if err != nil {
		return // it was answered
	}
	defer conn.Close()
	for {
		_, raw, err := conn.ReadMessage()
		if err != nil {
			return
		}
		action, pattern, _ := strings.Cut(string(raw), " ")
		if conn.WriteJSON(&model.Event{Time: time.Now(), Type: "websocket", Action: action, Key: pattern}) != nil {
			return
		}
	}
}
