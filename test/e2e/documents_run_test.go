package e2e

import (
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"poosh/server/cluster/redistest"
	"poosh/server/logtest"
)

func port(n int) string { return strconv.Itoa(n) }

// moved is a text with a default port replaced by that of the server under test.
func moved(t *testing.T, text, from string, to int) string {
	t.Helper()
	if !strings.Contains(text, "localhost:"+from) {
		t.Fatalf("nothing names localhost:%s in\n%s", from, text)
	}
	return strings.ReplaceAll(text, "localhost:"+from, "127.0.0.1:"+port(to))
}

// listening reports whether a port takes connections.
func listening(port int) bool {
	c, err := dialFrom(port, "")
	if err != nil {
		return false
	}
	c.Close()
	return true
}

// abs is a path from the root of the repository, whole.
func abs(t *testing.T, name ...string) string {
	t.Helper()
	path, err := filepath.Abs(filepath.Join(append([]string{root}, name...)...))
	if err != nil {
		t.Fatal(err)
	}
	return path
}

// background runs a command of a page until the test ends, in a directory and with more
// in its environment, and returns once the ports are listened on. What it is ended by,
// an interrupt, is given to all that it started.
func background(t *testing.T, dir, command string, env []string, ports ...int) *logtest.Buffer {
	t.Helper()
	log, exited := &logtest.Buffer{}, make(chan struct{})
	cmd := exec.Command("sh", "-c", command)
	cmd.Dir, cmd.Env = dir, append(os.Environ(), env...)
	cmd.Stdout, cmd.Stderr = log, log
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() { // ends with the process
		cmd.Wait()
		close(exited)
	}()
	t.Cleanup(func() {
		syscall.Kill(-cmd.Process.Pid, syscall.SIGINT)
		select {
		case <-exited:
		case <-time.After(patience):
			syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL)
			<-exited
			t.Errorf("%s\ndid not end on an interrupt\n%s", command, log.Tail())
		}
	})
	// The first command of the README builds the server.
	eventually(t, 5*time.Minute, "it to listen: "+command, func() bool {
		select {
		case <-exited:
			t.Fatalf("%s\nended: %v\n%s", command, cmd.ProcessState, log.Tail())
		default:
		}
		return !slices.ContainsFunc(ports, func(p int) bool { return !listening(p) })
	})
	return log
}

// readmePage is how the page in the README begins.
const readmePage = "<!doctype html>\n<meta charset=\"utf-8\">\n<title>Poosh</title>"

// runREADME starts the server with the README's first command. Its page listens in a
// browser, and each of its snippets sends.
func runREADME(t *testing.T, b *book) {
	if first := b.blocks[b.find("README.md", "sh", "")[0]].Code; !strings.Contains(first, "go run .") {
		t.Fatalf("the first command of the README does not run the server: %q", first)
	}
	clientPort, serverPort := freePort(t), freePort(t)
	background(t, root, b.take(t, "README.md", "sh", "SERVER_SECRET="),
		[]string{"CLIENT_PORT=" + port(clientPort), "SERVER_PORT=" + port(serverPort), "HOST=127.0.0.1"}, clientPort, serverPort)

	d := drive(t, "browser.js")
	html := b.take(t, "README.md", "html", readmePage)
	page := d.open(opening{Version: "1.3.4", Way: "README", HTML: moved(t, withBundle(t, html), "8000", clientPort)})
	page.shows(t, "connected")

	php := filepath.Join(t.TempDir(), "send.php")
	if err := os.WriteFile(php, []byte(moved(t, b.take(t, "README.md", "php", "<?php"), "1337", serverPort)), 0o600); err != nil {
		t.Fatal(err)
	}
	const shown = `{"key1":"value1","key2":"value2"}`
	t.Setenv("POOSH_ROOM", "")
	if out := runs(t, "", "php", php); !strings.Contains(out, "sent") || strings.Contains(out, "not") {
		t.Fatalf("the PHP of the README printed %q", out)
	}
	page.shows(t, shown)
	t.Setenv("POOSH_ROOM", "news")
	runs(t, "", "php", php)
	page.shows(t, shown+"\n"+shown)

	for _, name := range []string{"sh", "node"} {
		text := ""
		if name == "sh" {
			text = strings.Replace(b.take(t, "README.md", "sh", "secret="), "curl -i", "curl -sS -i", 1)
		} else {
			text = b.take(t, "docs/poosh.md", "js", "const crypto")
		}
		if out := runs(t, moved(t, text, "1337", serverPort), name); !strings.Contains(out, "200") {
			t.Errorf("%s of the pages printed %q", name, out)
		}
	}
	page.shows(t, shown+"\n"+shown+"\n"+`{"key1":"value1"}`+"\n"+`{"key1":"value1"}`)
}

// runMissed has the README's page lose its connection to a server with HISTORY, and be given
// what it missed.
func runMissed(t *testing.T, b *book, f *fourfold) {
	cutter := newScissors(t, addr(f.clientPort))
	html := b.take(t, "README.md", "html", readmePage)
	d := drive(t, "browser.js")
	page := d.open(opening{Version: "1.3.4", Way: "README, missed", HTML: moved(t, withBundle(t, html), "8000", cutter.Port)})
	page.shows(t, "connected")
	f.send(t, "news", "event-name", `"before"`)
	page.shows(t, `"before"`)
	cutter.without(func() {
		f.send(t, "news", "event-name", `"missed"`)
		f.send(t, "other", "event-name", `"not its room"`)
	})
	page.shows(t, "\"before\"\n\"missed\"")
	f.send(t, "news", "event-name", `"after"`)
	page.shows(t, "\"before\"\n\"missed\"\n\"after\"")
}

// runHistory has a sender read what it sent, as the page says.
func runHistory(t *testing.T, b *book, f *fourfold) {
	f.send(t, "news", "event-name", `{"read":[1.50,"again"]}`)
	text := b.take(t, "docs/history.md", "sh", "secret=")
	out := runs(t, moved(t, strings.Replace(text, "thisisthesharedsecret", "'"+secret+"'", 1), "1337", f.serverPort), "sh")
	if !strings.HasPrefix(out, `{"room":"news","id":"`) || !strings.Contains(out, `"payload":{"read":[1.50,"again"]}}]}`) {
		t.Errorf("it printed %q", out)
	}
}

// runSwap builds the program and starts it beside another one, as the README tells who
// has the Node server.
func runSwap(t *testing.T, b *book) {
	dir := t.TempDir()
	build := strings.NewReplacer("go build", "go build -C '"+abs(t)+"'", "-o poosh", "-o '"+dir+"/poosh'").Replace(b.take(t, "README.md", "sh", "go build"))
	runs(t, build, "sh")
	if err := os.WriteFile(filepath.Join(dir, ".env"), []byte("SERVER_SECRET="+secret+"\nCLIENT_PORT=1\nSERVER_PORT=1\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	clientPort, serverPort := freePort(t), freePort(t)
	start := b.take(t, "README.md", "sh", "CLIENT_PORT=8001")
	background(t, dir, strings.NewReplacer("8001", port(clientPort), "1338", port(serverPort)).Replace(start), []string{"HOST=127.0.0.1"}, clientPort, serverPort)
	if a := ask(t, "GET", "http://"+addr(serverPort)+"/send", ""); a.status != 401 {
		t.Errorf("a GET is answered %d, want 401", a.status)
	}
}

// runStarts starts the server with each of the commands that pages of dialects have.
func runStarts(t *testing.T, b *book) {
	built, err := filepath.Abs(program)
	if err != nil {
		t.Fatal(err)
	}
	for _, row := range []struct{ page, begins, setting, answers string }{
		{"docs/pusher.md", "PUSHER_APP_ID=", "PUSHER_PORT", "/up"},
		{"docs/socktopus.md", "DEMO_SOCKTOPUS_SECRET=", "SOCKTOPUS_PORT", "/"},
		{"docs/push-socket.md", "PUSH_SOCKET_PORT=", "PUSH_SOCKET_PORT", "/"},
		{"examples/pusher/README.md", "PUSHER_APP_ID=", "PUSHER_PORT", "/up/1"},
		{"examples/pusher/README.md", "PUSHER_APPS=", "PUSHER_PORT", "/up/1"},
		{"examples/socktopus/README.md", "DEMO_SOCKTOPUS_SECRET=replace-this-secret ./poosh", "SOCKTOPUS_PORT", "/"},
		{"examples/pushsocket/README.md", "PUSH_SOCKET_PORT=", "PUSH_SOCKET_PORT", "/"},
		{"examples/laravel-echo/README.md", "ECHO_REDIS=", "ECHO_PORT", "/socket.io/?EIO=4&transport=polling"},
		{"examples/emitter/README.md", "SERVER_SECRET=", "CLIENT_PORT", "/socket.io/?EIO=4&transport=polling"},
	} {
		t.Run(row.page, func(t *testing.T) {
			dir := t.TempDir()
			for name, target := range map[string]string{"poosh": built, "examples": abs(t, "examples")} {
				if err := os.Symlink(target, filepath.Join(dir, name)); err != nil {
					t.Fatal(err)
				}
			}
			at := freePort(t)
			// A setting in the command wins over the environment.
			command := strings.Replace(b.take(t, row.page, "sh", row.begins), row.setting+"=3100", row.setting+"="+port(at), 1)
			if before, after, found := strings.Cut(command, "127.0.0.1:6379"); found {
				command = before + redistest.Start(t).Addr + after
			}
			background(t, dir, command, []string{"HOST=127.0.0.1", "SERVER_PORT=" + port(freePort(t)), row.setting + "=" + port(at)}, at)
			if a := ask(t, "GET", "http://"+addr(at)+row.answers, ""); a.status != 200 {
				t.Errorf("%s is answered %d %q", row.answers, a.status, a.body)
			}
		})
	}
}

// runSenders sends with each of the examples as its page says.
func runSenders(t *testing.T, b *book, f *fourfold) {
	next := listens(t, f.server, "news")
	t.Setenv("POOSH_URL", f.serverURL()+"/send")
	for _, name := range []string{"curl", "node", "php"} {
		command := b.take(t, "examples/"+name+"/README.md", "sh", "POOSH_SECRET=")
		command = strings.Replace(command, "thisisthesharedsecret", "'"+secret+"'", 1)
		runs(t, "cd '"+abs(t, "examples", name)+"'\n"+command, "sh")
		if got := next("event-name"); got != `{"text":"hello"}` {
			t.Errorf("%s sent %s", name, got)
		}
	}
	// The class of the example, and the lines that use it.
	class, _, found := strings.Cut(read(t, example("php", "send.php")), "\n}\n")
	if !found {
		t.Fatal("the example in PHP has no class")
	}
	mine, err := joinSocket(f.clientPort, 3, "user-7", "")
	if err != nil {
		t.Fatal(err)
	}
	defer mine.Close()
	f.waitRoom(t, "user-7", 1)
	t.Setenv("POOSH_SECRET", secret)
	lines := b.take(t, "examples/php/README.md", "php", "$poosh = new Poosh(")
	again := b.take(t, "examples/php/README.md", "php", "$poosh->send(")
	if out := runs(t, class+"\n}\n"+moved(t, lines, "1337", f.serverPort)+"\necho $reached;\n"+again+again, "php"); out != "1" {
		t.Errorf("it printed %q, want the one connection that it reached", out)
	}
	paid := 0
	f.send(t, "user-7", "end", "0")
	if _, err := mine.hear(patience, "the end", func(m string) bool {
		if strings.HasPrefix(m, `42["order.paid",`) {
			paid++
		}
		return strings.HasPrefix(m, `42["end"`)
	}); err != nil || paid != 2 {
		t.Errorf("a client heard %d events, %v; want the one without a key and the one with", paid, err)
	}
}

// runSocktopus runs the example's application and sender, and makes tokens.
func runSocktopus(t *testing.T, b *book, f *fourfold) {
	at := freePort(t)
	t.Setenv("SOCKTOPUS_URL", "http://"+addr(f.socktopusPort))
	dir := abs(t, "examples", "socktopus")
	background(t, dir, b.take(t, "examples/socktopus/README.md", "sh", "DEMO_SOCKTOPUS_SECRET=replace-this-secret node app.js"),
		[]string{"APP_PORT=" + port(at)}, at)
	if a := ask(t, "GET", "http://"+addr(at)+"/token?id=alice", ""); a.status != 200 || !strings.Contains(a.body, addr(f.socktopusPort)) {
		t.Errorf("the application answers %d %q", a.status, a.body)
	}
	send := b.take(t, "examples/socktopus/README.md", "sh", "DEMO_SOCKTOPUS_SECRET=replace-this-secret node send.js")
	if out := runs(t, "cd '"+dir+"'\n"+send, "sh"); out != "not connected\nkicked\n" {
		t.Errorf("the sender printed %q", out)
	}
	built, err := filepath.Abs(program)
	if err != nil {
		t.Fatal(err)
	}
	for _, page := range []string{"docs/socktopus.md", "examples/socktopus/README.md"} {
		command := b.take(t, page, "sh", "./poosh socktopus token")
		_, token, _ := strings.Cut(strings.TrimSpace(runs(t, strings.Replace(command, "./poosh", "'"+built+"'", 1), "sh")), ": ")
		// 426: the token is good, and what is missing is a WebSocket handshake.
		if a := ask(t, "GET", "http://"+addr(f.socktopusPort)+"/receive?token="+token, ""); a.status != http.StatusUpgradeRequired {
			t.Errorf("%s: token %q is answered %d %q", page, token, a.status, a.body)
		}
	}
}

// operatorToken is what operators of the server under test identify themselves with.
const operatorToken = "a token of an operator"

// runOperators asks and tells the store of the Push Socket Protocol.
func runOperators(t *testing.T, b *book, f *fourfold) {
	identity, _, _ := strings.Cut(newMailLedger(t, f).username, "|")
	commands := moved(t, strings.NewReplacer("TOKEN", operatorToken, "BASE64", identity, "curl ", `curl -sS -w '\n%{http_code}\n' `).
		Replace(b.take(t, "docs/push-socket.md", "sh", "curl ")), "3100", f.pushSocketPort)
	commands = regexp.MustCompile(`(?m) (127\.0\.0\.1:)`).ReplaceAllString(commands, " http://$1")
	out := runs(t, commands, "sh")
	if want, got := strings.Count(commands, "curl "), strings.Count(out, "\n200\n"); got != want {
		t.Errorf("%d of %d are answered 200:\n%s", got, want, out)
	}
}

// runStatusLine asks the server for its line of counts, and looks whether the page has
// all of the names in it and no other.
func runStatusLine(t *testing.T, b *book, f *fourfold) {
	command := b.take(t, "docs/operating.md", "sh", "kill -USR1")
	statusLine := func() string {
		lines := regexp.MustCompile(`(?m)^.* msg=status .*\n`).FindAllString(f.log.String(), -1)
		if len(lines) == 0 {
			return ""
		}
		return lines[len(lines)-1]
	}
	runs(t, strings.Replace(command, "$(pidof poosh)", strconv.Itoa(f.cmd.Process.Pid), 1), "sh")
	eventually(t, patience, "a line of counts", func() bool { return statusLine() != "" })

	var logged []string
	for _, m := range regexp.MustCompile(` ([a-z0-9_]+)=`).FindAllStringSubmatch(statusLine(), -1) {
		if m[1] != "level" && m[1] != "msg" {
			logged = append(logged, m[1])
		}
	}
	_, section, _ := strings.Cut(read(t, filepath.Join(root, "docs", "operating.md")), "\n## The status line\n")
	section, _, _ = strings.Cut(section, "\n## ")
	var explained []string
	for _, row := range regexp.MustCompile("(?m)^\\| (`[^|]*) \\|").FindAllStringSubmatch(section, -1) {
		for _, name := range strings.Split(row[1], ", ") {
			explained = append(explained, strings.Trim(name, "`"))
		}
	}
	slices.Sort(logged)
	slices.Sort(explained)
	if !slices.Equal(logged, explained) {
		t.Errorf("the line has\n%q\nand docs/operating.md explains\n%q", logged, explained)
	}
}

// runPage serves the example's page as its page says.
func runPage(t *testing.T, b *book) {
	at := freePort(t)
	command := b.take(t, "examples/browser/README.md", "sh", "python3 -m http.server 8080")
	background(t, example("browser"), strings.Replace(command, "8080", port(at), 1), nil, at)
	resp, err := http.Get("http://" + addr(at) + "/")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if text, err := io.ReadAll(resp.Body); err != nil || string(text) != read(t, example("browser", "index.html")) {
		t.Errorf("%v: it serves %q", err, text)
	}
}
