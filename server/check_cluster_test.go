package server

import (
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
