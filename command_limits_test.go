//go:build unix

package main

import (
	"fmt"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"poosh/server/logtest"
)

// What check finds of the machine: whether its limits allow what the settings do. A server
// that starts with these settings says the same.
func TestCheckLimits(t *testing.T) {
	if _, err := exec.LookPath("prlimit"); err != nil {
		t.Fatal("prlimit is not installed: apt-get install util-linux")
	}
	const (
		files  = "warning  %s is %d, and lowered to %d: the limit of open files allows no more; raise it (ulimit -n, LimitNOFILE, --ulimit nofile), or set this to less\n"
		memory = "warning  INPUT_BYTES, ROOM_BYTES and BACKLOG_BYTES allow 515 MiB to wait (twice, once and three times), and there are 512 MiB of memory"
		good   = "good: nothing is wrong with these settings\n"
	)
	one := fmt.Sprintf(files, "MAX_SENDER_CONNECTIONS", 40, 39) + fmt.Sprintf(files, "MAX_SENDER_CONNECTIONS_PER_ADDRESS", 30, 19) + "0 errors, 2 warnings\n"
	all := fmt.Sprintf(files, "MAX_SENDER_CONNECTIONS", 40, 9) + fmt.Sprintf(files, "MAX_SENDER_CONNECTIONS_PER_ADDRESS", 30, 4) +
		fmt.Sprintf(files, "MAX_CONNECTIONS", 60, 27) + fmt.Sprintf(files, "MAX_CONNECTIONS_PER_ADDRESS", 50, 13) + "0 errors, 4 warnings\n"
	env := []string{"HOST=127.0.0.1", "SERVER_SECRET=correct horse battery staple", "CLIENT_PORT=0", "SERVER_PORT=0",
		"MAX_CONNECTIONS=60", "MAX_CONNECTIONS_PER_ADDRESS=50", "MAX_UNFINISHED_PER_ADDRESS=50", "MAX_SENDER_CONNECTIONS=40", "MAX_SENDER_CONNECTIONS_PER_ADDRESS=30",
		"INPUT_BYTES=64MiB", "ROOM_BYTES=84MiB", "BACKLOG_BYTES=100MiB"} // 164 files and 512 MiB
	operators := []string{"ADMIN_PORT=0", "ADMIN_TOKEN=correct horse battery staple"} // 64 files more
	for name, row := range map[string]struct {
		limit    string
		more     []string
		says     string
		code     int // with --strict
		starting string
	}{
		"as many files as it needs":  {"--nofile=164:164", nil, good, 0, ""},
		"one less":                   {"--nofile=163:163", nil, one, 1, `msg="lowered to what the limit of open files allows" setting=MAX_SENDER_CONNECTIONS from=40 to=39`},
		"a limit that can be raised": {"--nofile=100:200", nil, good, 0, ""},
		"as many, but for operators": {"--nofile=227:227", operators, one, 1, `setting=MAX_SENDER_CONNECTIONS from=40 to=39`},
		"as many, with operators":    {"--nofile=228:228", operators, good, 0, ""},
		"far too few":                {"--nofile=100:100", nil, all, 1, `setting=MAX_SENDER_CONNECTIONS from=40 to=9`},
		"as much memory as may wait": {"--data=" + strconv.Itoa(512<<20), nil, good, 0, ""},
		"less":                       {"--data=" + strconv.Itoa(512<<20), []string{"BACKLOG_BYTES=101MiB"}, memory, 1, `msg=settings warning="INPUT_BYTES, ROOM_BYTES and BACKLOG_BYTES allow 515 MiB to wait`},
	} {
		t.Run(name, func(t *testing.T) {
			under := func(args ...string) *exec.Cmd {
				cmd := exec.Command("prlimit", append([]string{row.limit, program}, args...)...)
				cmd.Dir, cmd.Env = t.TempDir(), append(slices.Clone(env), row.more...)
				return cmd
			}
			cmd := under("check", "--strict")
			var out logtest.Buffer
			cmd.Stdout, cmd.Stderr = &out, &out
			if code := exitCode(t, cmd); code != row.code || !strings.HasPrefix(out.String(), row.says) {
				t.Errorf("exit code %d, want %d\n%s\nwant %s", code, row.code, &out, row.says)
			}
			serve, log := under(), new(logtest.Buffer)
			serve.Stderr = log
			ended := begin(t, serve)
			eventually(t, "it to listen", func() bool {
				return strings.Contains(log.String(), "msg=listening setting=SERVER_PORT")
			})
			_ = serve.Process.Signal(syscall.SIGTERM)
			ends(t, serve, ended, log)
			if said := log.String(); !strings.Contains(said, row.starting) || row.says == good && strings.Contains(said, "level=WARN") {
				t.Errorf("a server says\n%s\nwant %s", said, row.starting)
			}
		})
	}
}
