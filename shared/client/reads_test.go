package client

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"provision-plugins/shared/model"
)

// manyOf asks for the reads of two machines and returns what was answered.
func manyOf(ctx context.Context, c *Client) (got []string, err error) {
	err = c.ReadMany(ctx, ReadRequest{Command: "powerstatus", Machines: []string{"m1", "m2"}}, func(a ReadAnswer) error {
		text := string(a.Result)
		if a.Error != nil {
			text = a.Error.Error()
		}
		got = append(got, a.Key+"="+text)
		return nil
	})
	return got, err
}

func TestReadManyOnTheWire(t *testing.T) {
	var body, path string
	c := onSocket(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		raw, _ := io.ReadAll(r.Body)
		body, path = string(raw), r.Method+" "+r.URL.Path+" "+r.Header.Get("Authorization")
		_, _ = io.WriteString(w, `{"Key":"m2","Result":{"power":"on"}}`+"\n\n"+`{"Key":"m1","Error":{"Type":"busy","Messages":["later"],"Code":429},"RetryAfter":7}`)
	}))
	var answers []ReadAnswer
	err := c.ReadMany(t.Context(), ReadRequest{Command: "powerstatus", Machines: []string{"m1", "m2"}, Parallel: 3}, func(a ReadAnswer) error {
		answers = append(answers, a)
		return nil
	})
	if err != nil || len(answers) != 2 || answers[0].Key != "m2" || string(answers[0].Result) != `{"power":"on"}` {
		t.Fatalf("%+v, %v", answers, err)
	}
	if e := answers[1].Error; e == nil || e.Kind() != model.Busy || e.RetryAfter != 7*time.Second {
		t.Errorf("error %+v", answers[1].Error)
	}
	if want := `{"Command":"powerstatus","Machines":["m1","m2"],"Params":{},"Parallel":3}`; body != want || path != "POST /api/v3/reads Bearer t0ken" {
		t.Errorf("sent %s %s", path, body)
	}
}

// All machines of a selection are asked by filters in the query, and counted first.
func TestReadAllOnTheWire(t *testing.T) {
	var sent string
	c := onSocket(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		raw, _ := io.ReadAll(r.Body)
		sent = r.URL.RawQuery + " " + string(raw)
		_, _ = io.WriteString(w, `{"Machines":2}`+"\n\n"+`{"Key":"u1","Name":"m1","Address":"192.0.2.1","Result":"on"}`+"\n\n\n")
	}))
	alive, said := 0, ""
	err := c.ReadMany(t.Context(), ReadRequest{
		Command: "powerstatus", All: true, Filters: []Filter{Where("Name", AsGiven, "Re(^m)")},
		Count: func(n int) { said += fmt.Sprint(n, " machines;") }, Alive: func() { alive++ },
	}, func(a ReadAnswer) error {
		said += fmt.Sprint(a.Key, a.Name, a.Address, string(a.Result))
		return nil
	})
	if err != nil || said != `2 machines;u1m1192.0.2.1"on"` || alive != 5 {
		t.Errorf("%s, %d signs of life, %v", said, alive, err)
	}
	if want := `Name=Re%28%5Em%29 {"Command":"powerstatus","Machines":null,"All":true,"Params":{}}`; sent != want {
		t.Errorf("sent %s", sent)
	}
}

// An endpoint that does not say how many there are does not know how to ask all.
func TestReadAllOfAnOldEndpoint(t *testing.T) {
	for _, body := range []string{"", "\n", `{"Key":"m1","Result":"on"}`, `{"Machines":"2"}`, `{"Machines":null}`, "[]", "<html>"} {
		err := onSocket(t, answer(200, body)).ReadMany(t.Context(), ReadRequest{Command: "powerstatus", All: true, Count: func(int) { t.Error("counted") }},
			func(ReadAnswer) error { t.Error("answered"); return nil })
		if !CannotReadMany(err) {
			t.Errorf("%q: %v", body, err)
		}
	}
}

// What cannot read many machines at once is told from what refuses to.
func TestReadManyRefused(t *testing.T) {
	for status, cannot := range map[int]bool{404: true, 405: true, 501: true, 400: false, 401: false, 403: false, 429: false, 500: false, 503: false} {
		got, err := manyOf(t.Context(), onSocket(t, answer(status, `{"Messages":["no"]}`)))
		if err == nil || CannotReadMany(err) != cannot || len(got) > 0 {
			t.Errorf("%d: %v, %v", status, got, err)
		}
		if e := model.AsError(err); !cannot && (e.Code != status || e.Text() != "no") {
			t.Errorf("%d: %+v", status, e)
		}
	}
	if CannotReadMany(nil) {
		t.Error("no error is one")
	}
}

func TestReadManyOfWrongLines(t *testing.T) {
	const good = `{"Key":"m1","Result":1}` + "\n"
	for _, line := range []string{
		"{", "nonsense", "[]", `"x"`, "null", "{}", `{"Key":""}`, `{"Key":7}`, `{"Result":1}`,
		`{"Key":"m2","Result":1,"Error":{}}`, `{"Key":"m2","Error":{},"RetryAfter":-1}`, `{"Key":"m2"} {"Key":"m3"}`,
		`{"Key":"m2","Result":"` + strings.Repeat("x", maxReadLine) + `"}`,
	} {
		got, err := manyOf(t.Context(), onSocket(t, answer(200, good+line+"\n"+good)))
		if model.KindOf(err) != model.Internal || fmt.Sprint(got) != "[m1=1]" {
			t.Errorf("%.40s: %v, %v", line, got, err)
		}
	}
}

// What breaks off is no answer; those before it are.
func TestReadManyBreaksOff(t *testing.T) {
	c := onSocket(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, `{"Key":"m1","Result":1}`+"\n")
		_ = http.NewResponseController(w).Flush()
		panic(http.ErrAbortHandler)
	}))
	if got, err := manyOf(t.Context(), c); model.KindOf(err) != model.Unreachable || fmt.Sprint(got) != "[m1=1]" {
		t.Errorf("%v, %v", got, err)
	}
	gone, err := New(Options{Socket: t.TempDir() + "/none"})
	if err != nil {
		t.Fatal(err)
	}
	defer gone.Close()
	if _, err := manyOf(t.Context(), gone); model.KindOf(err) != model.Unreachable || CannotReadMany(err) {
		t.Errorf("without an endpoint: %v", err)
	}
}

func TestReadManyEndsWithItsCaller(t *testing.T) {
	left := make(chan struct{})
	c := onSocket(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.ReadAll(r.Body)
		_, _ = io.WriteString(w, `{"Key":"m1","Result":1}`+"\n")
		_ = http.NewResponseController(w).Flush()
		<-r.Context().Done()
		left <- struct{}{}
	}))
	ctx, cancel := context.WithCancelCause(t.Context())
	errEnough := errors.New("enough")
	err := c.ReadMany(ctx, ReadRequest{Command: "powerstatus"}, func(ReadAnswer) error {
		cancel(errEnough)
		return nil
	})
	if <-left; model.KindOf(err) != model.Timeout || !errors.Is(err, errEnough) {
		t.Errorf("after the end of its context: %v", err)
	}
	err = c.ReadMany(t.Context(), ReadRequest{Command: "powerstatus"}, func(ReadAnswer) error { return errEnough })
	if <-left; !errors.Is(err, errEnough) {
		t.Errorf("after an answer that was not taken: %v", err)
	}
	if _, err := manyOf(ctx, c); model.KindOf(err) == model.Internal || err == nil {
		t.Errorf("with a context that has ended: %v", err)
	}
	if err := c.ReadMany(t.Context(), ReadRequest{Params: model.Params{"x": make(chan int)}}, nil); model.KindOf(err) != model.Invalid {
		t.Errorf("params that cannot be sent: %v", err)
	}
}

func FuzzParseReadAnswer(f *testing.F) {
	for _, text := range []string{`{"Key":"m1","Result":{"power":"on"}}`, `{"Key":"m1","Error":{"Type":"busy"},"RetryAfter":1e3}`, `{"Key":"m1","RetryAfter":99999999999999999}`, "", "null", "{}"} {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, line []byte) {
		a, err := parseReadAnswer(line)
		if err != nil {
			return
		}
		if a.Key == "" || a.Error != nil && (a.Result != nil || a.Error.Type == "" || a.Error.RetryAfter < 0 || a.Error.RetryAfter > maxRetryAfter) {
			t.Errorf("%q: %+v", line, a)
		}
	})
}
