package main

import (
	"context"
	"strings"
	"sync"

	"provision-plugins/shared/model"
)

// remarks gathers what a session has to say of an action beyond its result.
type remarks struct {
	proof bool // what the VM's log tells is wanted

	mu       sync.Mutex // guards the below; a plan may go on when its caller has left
	notes    []string
	evidence string
}

// remarksKey is the key of an action's remarks in its context.
type remarksKey struct{}

// withRemarks has an action gather remarks, which its result then carries.
func withRemarks(command string, perform func(ctx context.Context) (any, error)) func(ctx context.Context) (any, error) {
	return func(ctx context.Context) (any, error) {
		r := &remarks{proof: command == model.BootStatus}
		result, err := perform(context.WithValue(ctx, remarksKey{}, r))
		if err != nil {
			return nil, err
		}
		return r.into(result), nil
	}
}

// remarksOf returns an action's remarks, nil where nobody gathers them.
func remarksOf(ctx context.Context) *remarks {
	r, _ := ctx.Value(remarksKey{}).(*remarks)
	return r
}

// remark adds a note to the result of the action that ctx is of.
func remark(ctx context.Context, note string) {
	if r := remarksOf(ctx); r != nil {
		r.mu.Lock()
		defer r.mu.Unlock()
		r.notes = append(r.notes, note)
	}
}

// wantsProof reports whether the action wants to know what the log tells.
func wantsProof(ctx context.Context) bool {
	r := remarksOf(ctx)
	return r != nil && r.proof
}

// prove adds evidence to the result.
func prove(ctx context.Context, evidence string) {
	if r := remarksOf(ctx); r != nil {
		r.mu.Lock()
		defer r.mu.Unlock()
		r.evidence = evidence
	}
}

// into adds the remarks to a result; anything else stays as it is.
func (r *remarks) into(v any) any {
	res, ok := v.(model.Result)
	if !ok {
		return v
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	res.Note = joined(append([]string{res.Note}, r.notes...))
	res.Evidence = joined([]string{res.Evidence, r.evidence})
	return res
}

// joined joins what is not empty, each once.
func joined(parts []string) string {
	var out []string
	seen := map[string]bool{"": true}
	for _, p := range parts {
		if !seen[p] {
			seen[p] = true
			out = append(out, p)
		}
	}
	return strings.Join(out, "; ")
}
