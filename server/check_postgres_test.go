package server

import (
	"fmt"
	"strings"
	"testing"

	"poosh/server/pushsocket/store"
	"poosh/server/pushsocket/store/postgrestest"
)

// "poosh check" says whether the database of the Push Socket Protocol can be reached, and
// no part of what is told of settings has its password.
func TestCheckReachesTheDatabase(t *testing.T) {
	server := postgrestest.Start(t, "fsync=off")
	good := server.Schema(t)
	const on = "PUSH_SOCKET_PORT=0\nPUSH_SOCKET_OPERATOR_TOKEN=" + goodSecret + "\nPUSH_SOCKET_DB="
	for name, test := range map[string]struct{ db, error string }{
		"there":        {good, ""},
		"not there":    {"postgres://u:" + postgrestest.Password + "@127.0.0.1:1/db", `PUSH_SOCKET_DB is "postgres://u@127.0.0.1:1/db": failed to connect`},
		"no database":  {strings.Replace(good, "/postgres?", "/none?", 1), `database "none" does not exist`},
		"no address":   {"postgres://u:" + postgrestest.Password + "/x@h/db", `PUSH_SOCKET_DB is "postgres://...": want postgres://USER:PASSWORD@`},
		"a database":   {"postgres://u:/" + postgrestest.Password + "@127.0.0.1:1/db", `PUSH_SOCKET_DB is "postgres://...": want postgres://USER:PASSWORD@`},
		"a port":       {"postgres://127.0.0.1:1/" + postgrestest.Password + "@127.0.0.1:1/db", `PUSH_SOCKET_DB is "postgres://...": want postgres://USER:PASSWORD@`},
		"of no driver": {"postgres://u:" + postgrestest.Password + "@h/db?sslmode=" + postgrestest.Password, `PUSH_SOCKET_DB is "postgres://u@h/db?...": want postgres://`},
	} {
		t.Run(name, func(t *testing.T) {
			errs, warnings := findingsOf(t, on+test.db+"\n", nil, false)
			all := strings.Join(append(errs, warnings...), "\n")
			if strings.Contains(all, postgrestest.Password) {
				t.Errorf("the password is told: %s", all)
			}
			if test.error == "" && all != "" || test.error != "" && (len(errs) != 1 || !strings.Contains(errs[0], test.error)) {
				t.Errorf("%s; want %q", all, test.error)
			}
		})
	}
	c := configured(t, map[string]string{"PUSH_SOCKET_PORT": "0", "PUSH_SOCKET_DB": good})
	text, err := c.text() // of the bundle
	if err != nil || strings.Contains(string(text)+fmt.Sprint(c.Values()), postgrestest.Password) || c.Values()["PUSH_SOCKET_DB"] != store.Shown(good) {
		t.Errorf("%v: %v\n%s", err, c.Values()["PUSH_SOCKET_DB"], text)
	}
	other := configured(t, map[string]string{"PUSH_SOCKET_PORT": "0", "PUSH_SOCKET_DB": strings.Replace(good, postgrestest.Password, "hush-changed", 1)})
	lines := strings.Join(c.differences(other, func(name string) bool { return name == "PUSH_SOCKET_DB" }), "\n")
	if strings.Contains(lines, "hush") || !strings.Contains(lines, "PUSH_SOCKET_DB") {
		t.Errorf("a reload says: %s", lines)
	}
}
