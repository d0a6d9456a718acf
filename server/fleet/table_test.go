package fleet

import (
	"testing"
	"time"
)

// While the table lacks nodes, those to which a link is open are asked, and those that may be there are
// named.
func TestTableNotWhole(t *testing.T) {
	town := &town{}
	a := serve(t, town, "nodeAA", 1, false, true)
	serve(t, town, "nodeBB", 2, false, true)
	if status, text := a.ask(t, "/api/kick?id=1"); status != 200 || text != `{"kicked":3,"nodes":[{"node":"nodeAA","kicked":1},{"node":"nodeBB","kicked":2}]}` {
		t.Fatalf("%d %s", status, text)
	}
	a.cfg.Nodes = func() []Node { return []Node{{Name: "nodeCC", Missing: true}} }
	town.mu.Lock()
	town.nodes = nil
	town.mu.Unlock()
	want := `{"kicked":3,"nodes":[{"node":"nodeAA","kicked":1},{"node":"nodeBB","kicked":2},{"node":"nodeCC","kicked":0,"error":"` + errMissing.Error() + `"}]}`
	if status, text := a.ask(t, "/api/kick?id=1"); status != 200 || text != want {
		t.Errorf("%d %s, want %s", status, text, want)
	}
}

// Of two nodes at an address the later is meant: it began where one that has died is still listed.
func TestNodeAtAnAddress(t *testing.T) {
	town := &town{}
	a := serve(t, town, "nodeAA", 1, false, true)
	b := serve(t, town, "nodeCC", 2, false, true)
	addr, _ := town.Addr("nodeCC")
	now := time.Now()
	for _, order := range [][2]time.Time{{now, now.Add(time.Second)}, {now.Add(time.Second), now}} {
		a.cfg.Nodes = func() []Node {
			return []Node{{Name: "nodeBB", Addr: addr, Started: order[0]}, {Name: "nodeCC", Addr: addr, Started: order[1]}}
		}
		status, text := a.ask(t, "/api/drain?node="+addr)
		if later := order[1].After(order[0]); later && (status != 202 || <-b.drained != "node nodeAA") || !later && status != 502 {
			t.Errorf("%d %s", status, text)
		}
	}
	if _, err := a.Fleet.nodes(map[string][]string{"node": {"nodeCC"}}); err != nil {
		t.Error(err)
	}
}
