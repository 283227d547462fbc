package endpoint

import (
	"context"
	"net/http"
	"time"

	"provision-plugins/endpoint/store"
	"provision-plugins/shared/model"
)

// trustPrefix is where the store keeps which providers are trusted.
const trustPrefix = "trusts"

// trust is an admin's word that a provider's plugins may do everything, as the
// reference lets all plugins do.
type trust struct {
	Provider string
	By       string
	Time     time.Time
}

// trusted reports whether a provider is trusted.
func (s *supervisor) trusted(provider string) bool {
	_, err := s.objects.store.Get(trustPrefix, provider)
	return err == nil
}

// setTrust gives or takes the trust in a provider. Its plugins are started again,
// with another token.
func (s *supervisor) setTrust(ctx context.Context, provider string, trusted bool) error {
	defer s.objects.locks.lock(trustPrefix, provider, principal(ctx))()
	found, err := s.objects.store.Get(trustPrefix, provider)
	switch {
	case (err == nil) == trusted:
		return nil
	case err == nil:
		_, err = s.objects.store.Delete(ctx, trustPrefix, provider, found.Rev)
	case model.KindOf(err) == model.NotFound:
		raw, encodeErr := model.Marshal(trust{provider, principal(ctx), time.Now().UTC()})
		if encodeErr != nil {
			return encodeErr
		}
		_, err = s.objects.store.Create(ctx, store.Object{Prefix: trustPrefix, ID: provider, Value: raw}, nil)
	}
	if err != nil {
		return err
	}
	s.log.Warn("trust in a plugin provider changed", "provider", provider, "trusted", trusted, "by", principal(ctx))
	s.look()
	return nil
}

// trustProvider makes a handler that gives or takes trust.
func (a *api) trustProvider(trusted bool) handle {
	return func(r *http.Request) (*reply, error) {
		found, err := a.discovery.provider(r.PathValue("key"))
		if err != nil {
			return nil, err
		}
		if err := a.actions.sup.setTrust(r.Context(), found.Name, trusted); err != nil {
			return nil, err
		}
		return a.getProvider(r)
	}
}
