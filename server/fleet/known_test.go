package fleet

import (
	"context"
	"encoding/json"
	"errors"
	"net/url"
	"os"
	"slices"
	"testing"

	"poosh/server/passing"
)

// What a later version asks for, to close fewer clients maybe, is not done as if it had not said so.
func TestParametersOfALaterVersion(t *testing.T) {
	town := &town{}
	a := serve(t, town, "nodeAA", 1, false, true)
	b := serve(t, town, "nodeBB", 2, false, true)
	for path, q := range map[string]url.Values{
		pathKick:  {"id": {"1"}, "older-than": {"1h"}},
		pathTail:  {"watch": {"1"}, "begin": {"1"}, "event": {"x"}},
		pathDrain: {"over": {"30s"}},
	} {
		var got json.RawMessage
		if err := a.Fleet.ask(context.Background(), patience, "nodeBB", path, q, &got); !errors.Is(err, passing.ErrUnknown) {
			t.Errorf("%s: %s, %v", path, got, err)
		}
	}
	var got Kicked
	if err := a.Fleet.ask(context.Background(), patience, "nodeBB", pathKick, url.Values{"id": {"1", "2"}}, &got); !errors.Is(err, passing.ErrUnknown) {
		t.Errorf("twice the same: %+v, %v", got, err)
	}
	if len(b.drained) > 0 || b.feed.Watched() {
		t.Error("it was done")
	}
}

// Every parameter of the operators' port is known between nodes, but for node.
func TestParametersOfThePort(t *testing.T) {
	text, err := os.ReadFile("../admin/openapi.json")
	if err != nil {
		t.Fatal(err)
	}
	var api struct {
		Paths map[string]map[string]struct {
			Parameters []struct{ Name string }
		}
	}
	if err := json.Unmarshal(text, &api); err != nil {
		t.Fatal(err)
	}
	for path, op := range map[string]string{pathKick: "post", pathTail: "get", pathDrain: "post"} {
		list := api.Paths["/api"+path][op].Parameters
		if len(list) == 0 {
			t.Errorf("nothing of %s in openapi.json", path)
		}
		for _, p := range list {
			if p.Name != "node" && !slices.Contains(known[path], p.Name) {
				t.Errorf("%s has a parameter %s that other nodes would not know", path, p.Name)
			}
		}
	}
}
