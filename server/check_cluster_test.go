package server

import (
	"net"
	"strings"
	"testing"

	"poosh/server/cluster/redistest"
)

// "poosh check" says whether the engine of a cluster can be reached, and not with which password.
func TestCheckReachesTheEngine(t *testing.T) {
	redis := redistest.Start(t, "--requirepass", "open-sesame")
	nobody, _ := redistest.FreePort(t)
	const on = "SERVER_SECRET=" + goodSecret + "\nCLUSTER_REDIS=redis://"
	for name, test := range map[string]struct{ url, want string }{
		"there":          {":open-sesame@" + redis.Addr, ""},
		"not there":      {":open-sesame@" + nobody, "CLUSTER_REDIS: redis://" + nobody + " is not there: "},
		"wrong password": {":closed-sesame@" + redis.Addr, "CLUSTER_REDIS: redis://" + redis.Addr + " does not let this node in: want its user and password in CLUSTER_REDIS: WRONGPASS"},
		"no number":      {":open-sesame@" + redis.Addr + "/sesame", "CLUSTER_REDIS "}, // is not tried
	} {
		t.Run(name, func(t *testing.T) {
			errs, warnings := findingsOf(t, on+test.url+"\n", nil, false)
			all := strings.Join(append(errs, warnings...), "\n")
			if strings.Contains(all, "sesame") {
				t.Errorf("the password is told: %s", all)
			}
			if test.want == "" && all != "" || test.want != "" && (len(errs) != 1 || !strings.HasPrefix(errs[0], test.want)) {
				t.Errorf("%s; want %q", all, test.want)
			}
		})
	}
}

// Where others reach the node is listened on for a moment, as its other ports are.
func TestCheckListensForNodes(t *testing.T) {
	redis := redistest.Start(t)
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	free, _ := redistest.FreePort(t)
	for addr, want := range map[string]string{
		free:                   "",
		taken.Addr().String():  "CLUSTER_ADDR is " + taken.Addr().String() + ", which cannot be listened on: address already in use; ",
		"192.0.2.1:7000":       "CLUSTER_ADDR is 192.0.2.1:7000, which cannot be listened on: cannot assign requested address; ",
		"no-port.example:port": "CLUSTER_ADDR is ",
	} {
		errs, _ := findingsOf(t, "SERVER_SECRET="+goodSecret+"\nCLIENT_PORT=0\nSERVER_PORT=0\nCLUSTER_REDIS=redis://"+redis.Addr+"\nCLUSTER_ADDR="+addr+"\n", nil, true)
		if want == "" && len(errs) > 0 || want != "" && (len(errs) != 1 || !strings.HasPrefix(errs[0], want)) {
			t.Errorf("%s: %q, want %q", addr, errs, want)
		}
	}
}

// Before it starts a node is told that it keeps other events than those that are there, as it would be
// then, and of an engine that may forget.
func TestCheckComparesWithTheNodes(t *testing.T) {
	redis := redistest.Start(t)
	on := map[string]string{"CLUSTER_REDIS": "redis://" + redis.Addr, "HISTORY": "1m"}
	r := run(t, on, nil)
	text := "SERVER_SECRET=" + goodSecret + "\nCLUSTER_REDIS=redis://" + redis.Addr + "\n"
	check := func(more string) (errs, warnings []string) {
		t.Helper()
		return findingsOf(t, text+more, nil, false)
	}
	if errs, warnings := check("HISTORY=2m\n"); len(errs)+len(warnings) > 0 {
		t.Errorf("as the other one: %q, %q", errs, warnings)
	}
	const differs = `HISTORY, PUSHER_HISTORY: differ from those of the nodes that are there, which keep the events of POST /send, and this one of no app`
	if errs, _ := check(""); len(errs) != 1 || !strings.HasPrefix(errs[0], differs) {
		t.Errorf("without a history: %q", errs)
	}
	redis.Do("CONFIG", "SET", "maxmemory-policy", "allkeys-lru")
	if errs, warnings := check("HISTORY=2m\n"); len(errs) > 0 || len(warnings) != 1 || !strings.Contains(warnings[0], " has the maxmemory-policy allkeys-lru: ") {
		t.Errorf("an engine that forgets: %q, %q", errs, warnings)
	}
	r.stop()
	if err := r.wait(t); err != nil {
		t.Fatal(err)
	}
	redis.Do("CONFIG", "SET", "maxmemory-policy", "noeviction")
	if errs, warnings := check(""); len(errs)+len(warnings) > 0 {
		t.Errorf("once all have ended: %q, %q", errs, warnings)
	}
}
