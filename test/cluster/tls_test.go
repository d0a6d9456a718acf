package cluster

import (
	"net/http"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"

	"poosh/server/certificate/certificatetest"
	"poosh/server/cluster/redistest"
	"poosh/test/process"
)

// Nodes reach Redis over TLS, with an authority of its operator's own, and by no certificate that is not to be
// believed, nor without TLS.
func TestRedisOverTLS(t *testing.T) {
	t.Parallel()
	authority := certificatetest.New(t)
	cert, key, ca := authority.Write(t.TempDir(), "redis.example") // and for 127.0.0.1
	addr, port := redistest.FreePort(t)
	redistest.Start(t, "--requirepass", "open-sesame", "--tls-port", port, "--tls-cert-file", cert, "--tls-key-file", key, "--tls-ca-cert-file", ca, "--tls-auth-clients", "no")
	url := "rediss://:open-sesame@" + addr
	believes := "SSL_CERT_FILE=" + ca
	var nodes []*node
	for range 2 {
		nodes = append(nodes, startOver(t, url, believes, "HISTORY=1m"))
	}
	for _, n := range nodes {
		redistest.Until(t, "both nodes to be handed an event", func() bool {
			status, header, _, err := n.send("r", "e", "x") // with HISTORY every node gets it
			return err == nil && status == http.StatusOK && header.Get("X-Poosh-Nodes") == "2"
		})
		if strings.Contains(n.Log(), "sesame") {
			t.Errorf("the log has the password: %s", n.Log())
		}
	}
	for name, test := range map[string]struct{ url, env, want string }{
		"it is good":          {url, believes, ""},
		"of a stranger":       {url, "SSL_CERT_FILE=/dev/null", "has a certificate that this machine does not believe"},
		"of another name":     {strings.Replace(url, "127.0.0.1", "localhost", 1), believes, "has a certificate that this machine does not believe"},
		"nothing without TLS": {strings.Replace(url, "rediss:", "redis:", 1), believes, "is for TLS: want rediss://"},
	} {
		cmd := exec.Command(program, "check")
		cmd.Dir = t.TempDir()
		cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "SERVER_SECRET=" + secret, "CLIENT_PORT=0", "SERVER_PORT=0", "CLUSTER_REDIS=" + test.url, test.env, "HISTORY=1m"}
		text, err := cmd.CombinedOutput()
		if (err == nil) != (test.want == "") || !strings.Contains(string(text), test.want) || strings.Contains(string(text), "sesame") {
			t.Errorf("%s: %v, %s", name, err, text)
		}
	}
}

// startOver starts a node that reaches Redis by a URL alone.
func startOver(t *testing.T, url string, more ...string) *node {
	t.Helper()
	server := process.FreePort(t)
	n := startAt(t, url, "CLIENT_PORT", append([]string{"SERVER_PORT=" + strconv.Itoa(server), "SERVER_SECRET=" + secret}, more...)...)
	n.server = server
	return n
}
