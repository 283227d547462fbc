package endpoint

import (
	"io"
	"net/http"
	"strings"
	"testing"

	"provision-plugins/shared/model"
)

// TestBodiesOfUnknownSizeAreBounded: one that does not say how large it is, is read
// up to the bound.
func TestBodiesOfUnknownSizeAreBounded(t *testing.T) {
	t.Parallel()
	r := start(t)
	body := io.MultiReader(strings.NewReader(strings.Repeat("x", model.MaxBody+1))) // whose size net/http cannot know
	req, err := http.NewRequestWithContext(t.Context(), "POST", "https://"+r.e.Addr()+"/api/v3/machines", body)
	if err != nil {
		t.Fatal(err)
	}
	resp, raw := r.do(req, r.e.token)
	if resp.StatusCode != http.StatusRequestEntityTooLarge || !strings.Contains(string(raw), "larger than") {
		t.Errorf("status %d: %.200s", resp.StatusCode, raw)
	}
}
