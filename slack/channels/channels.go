// Package channels finds channels by the names that people see.
package channels

import (
	"context"
	"errors"
	"fmt"
	"strings"

	api "github.com/slack-go/slack"

	"provision-plugins/shared/model"
)

const (
	// maxPages bounds a search, and pageSize its pages: 20,000 channels.
	maxPages = 20
	pageSize = 1000
)

// Named tells whether a channel is given by its name, such as "#ops", and not by
// its ID.
func Named(channel string) bool { return strings.HasPrefix(channel, "#") }

// Find returns the ID of the channel of a name, such as "#ops". Its error is of kind
// NotFound if there is none that the bot can see, and slack-go's for the rest. An app
// that may not see private channels finds public ones.
func Find(ctx context.Context, client *api.Client, name string) (id string, err error) {
	id, err = find(ctx, client, name, "public_channel", "private_channel")
	var refused api.SlackErrorResponse
	if errors.As(err, &refused) && refused.Err == "missing_scope" {
		return find(ctx, client, name, "public_channel")
	}
	return id, err
}

// find is Find among channels of some types.
func find(ctx context.Context, client *api.Client, name string, types ...string) (string, error) {
	params := api.GetConversationsParameters{ExcludeArchived: true, Limit: pageSize, Types: types}
	want := strings.TrimPrefix(name, "#")
	for range maxPages {
		list, next, err := client.GetConversationsContext(ctx, &params)
		if err != nil {
			return "", fmt.Errorf("cannot look for channel %s: %w", name, err)
		}
		for i := range list {
			if list[i].Name == want && list[i].ID != "" {
				return list[i].ID, nil
			}
		}
		if params.Cursor = next; next == "" {
			return "", model.Errorf(model.NotFound, "cannot find channel %s: there is none of that name, or the bot is not in it", name)
		}
	}
	return "", model.Errorf(model.NotFound, "cannot find channel %s among the first %d; give its ID", name, maxPages*pageSize)
}
