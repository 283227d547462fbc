package content_test

import (
	"context"
	"errors"
	"strings"
	"testing"

	"provision-plugins/shared/content"
	"provision-plugins/shared/model"
)

func TestDanglingReferences(t *testing.T) {
	for _, tc := range []struct{ file, text, want string }{
		{"profiles/x.yaml", "Name: xx\nProfiles: [silver]\n", "profiles/x.yaml:2: Profiles: refers to profiles/silver,"},
		{"profiles/x.yaml", "Name: xx\nParams: {good/mdoe: a}\n", "profiles/x.yaml:2: Params: refers to params/good/mdoe,"},
		{"stages/x.yaml", "Name: xx\nTasks: [absent]\n", "stages/x.yaml:2: Tasks: refers to tasks/absent,"},
		{"stages/x.yaml", "Name: xx\nTasks: ['stage:absent']\n", "stages/x.yaml:2: Tasks: refers to stages/absent,"},
		{"stages/x.yaml", "Name: xx\nTasks: ['odd:absent']\n", "stages/x.yaml:2: Tasks: refers to tasks/odd:absent,"},
		{"stages/x.yaml", "Name: xx\nBootEnv: absent\n", "stages/x.yaml:2: BootEnv: refers to bootenvs/absent,"},
		{"stages/x.yaml", "Name: xx\nRequiredParams: [absent/x]\n", "stages/x.yaml:2: RequiredParams: refers to params/absent/x,"},
		{"stages/x.yaml", "Name: xx\nProfiles: [absent]\n", "stages/x.yaml:2: Profiles: refers to profiles/absent,"},
		{"stages/x.yaml", "Name: xx\nTemplates:\n- {Name: a, ID: absent.sh}\n", "stages/x.yaml:2: Templates: refers to templates/absent.sh,"},
		{"tasks/x.yaml", "Name: xx\nPrerequisites: [absent]\n", "tasks/x.yaml:2: Prerequisites: refers to tasks/absent,"},
		{"tasks/x.yaml", "Name: xx\nOptionalParams: [absent]\n", "tasks/x.yaml:2: OptionalParams: refers to params/absent,"},
		{"tasks/x.yaml", "Name: xx\nTemplates:\n- {Name: a, Contents: '{{ template \"absent\" . }}'}\n", "tasks/x.yaml:2: Templates: refers to templates/absent,"},
		{"workflows/x.yaml", "Name: xx\nStages: [none, absent]\n", "workflows/x.yaml:2: Stages: refers to stages/absent,"},
		{"bootenvs/x.yaml", "Name: xx\nOptionalParams: [absent]\n", "bootenvs/x.yaml:2: OptionalParams: refers to params/absent,"},
		{"templates/x.sh", "one\ntwo {{- template \"absent\" }}", "templates/x.sh:2: Contents: refers to templates/absent,"},
	} {
		dir := good().with(tc.file, tc.text).dir(t)
		_, err := content.LoadDir(context.Background(), dir)
		var e *model.Error
		if !errors.As(err, &e) || len(e.Messages) != 1 || !strings.HasPrefix(e.Messages[0], dir+"/"+tc.want) {
			t.Errorf("%s: %v, want %q", tc.text, err, tc.want)
		}
	}
}

// An object of another layer is referred to by listing it with its layer.
func TestKnownReferences(t *testing.T) {
	const stage = "Name: xx\nTasks: [hw-setup]\n"
	for _, tc := range []struct{ name, stage, known, prerequisites, want string }{
		{"listed", stage, "# from elsewhere\n\nhardware: tasks/hw-setup\n", "base-layer, hardware: >=1.0.0", ""},
		{"not listed", stage, "", "hardware", "stages/x.yaml:2: Tasks: refers to tasks/hw-setup, which this bundle does not have (one of another layer is listed in ._Known.meta)"},
		{"layer is no prerequisite", stage, "hardware: tasks/hw-setup\n", "hard", `._Known.meta:1: layer "hardware" is not in ._Prerequisites.meta`},
		{"layer need not be there", stage, "hardware?: tasks/hw-setup\n", "hard", ""},
		{"unused though it need not be there", "Name: xx\n", "hardware?: tasks/hw-setup\n", "", "._Known.meta:1: tasks/hw-setup: nothing refers to it"},
		{"unused", "Name: xx\n", "hardware: tasks/hw-setup\n", "hardware", "._Known.meta:1: tasks/hw-setup: nothing refers to it"},
		{"malformed", stage, "tasks/hw-setup\n", "hardware", `._Known.meta:1: "tasks/hw-setup" is not "layer: section/key"`},
	} {
		dir := good().with("stages/x.yaml", tc.stage).with("._Known.meta", tc.known).with("._Prerequisites.meta", tc.prerequisites).dir(t)
		_, err := content.LoadDir(context.Background(), dir)
		var e *model.Error
		switch {
		case tc.want == "":
			if err != nil {
				t.Errorf("%s: %v", tc.name, err)
			}
		case !errors.As(err, &e) || len(e.Messages) != 1 || e.Messages[0] != dir+"/"+tc.want:
			t.Errorf("%s: %v, want %q", tc.name, err, tc.want)
		}
	}
}
