package endpoint

import (
	"fmt"
	"net/http"
	"sort"
	"strings"

	"github.com/gorilla/websocket"

	"provision-plugins/shared/plugin"
)

// Handler serves the toy's own API: it tells what it got, or repeats what comes
// through a websocket.
func (t *toy) Handler() http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		who, _ := plugin.PrincipalOf(r.Context())
		if r.Header.Get("Upgrade") != "" {
			t.echo(w, r, who.Name)
			return
		}
		var names []string
		for name := range r.Header {
			names = append(names, name)
		}
		sort.Strings(names)
		fmt.Fprintf(w, "%s %s by %s who may %s\nheaders %s\n", r.Method, r.URL.RequestURI(), who.Name, strings.Join(who.Claims, ", "), strings.Join(names, " "))
	})
}

// echo repeats every message, with who sent it.
func (t *toy) echo(w http.ResponseWriter, r *http.Request, who string) {
	up := websocket.Upgrader{}
	conn, err := up.Upgrade(w, r, nil)
	if err != nil {
		return
	}
	defer conn.Close()
	for {
		_, text, err := conn.ReadMessage()
		if err != nil {
			return
		}
		if conn.WriteMessage(websocket.TextMessage, []byte(who+" said "+string(text))) != nil {
			return
		}
	}
}
