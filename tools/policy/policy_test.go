package policy

import (
	"os"
	"testing"
)

// The repository keeps its own rules. Each failure names the place and the
// reason of the rule.
func TestRepository(t *testing.T) {
	const root = "../.."
	if _, err := os.Stat(root + "/go.mod"); err != nil {
		t.Fatalf("this is not run in its folder: %v", err)
	}
	found, err := Check(os.DirFS(root))
	if err != nil {
		t.Fatal(err)
	}
	for _, v := range found {
		t.Error(v)
	}
}
