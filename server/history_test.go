package server

import (
	"context"
	"errors"
	"log/slog"
	"maps"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"poosh/server/dialect"
	"poosh/server/handover"
	"poosh/server/hub"
	"poosh/server/logtest"
	"poosh/server/poosh"
	"poosh/server/setting"
)

// What is wrong with HISTORY_FILE is found before a server starts with it.
func TestCheckOfHistoryFile(t *testing.T) {
	dir := t.TempDir()
	to, toForeign := filepath.Join(dir, "to"), filepath.Join(dir, "to-foreign")
	for link, file := range map[string]string{to: "ours", toForeign: "foreign"} {
		if err := os.Symlink(file, link); err != nil {
			t.Fatal(err)
		}
	}
	put := func(name, text string, mode os.FileMode) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), mode); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(path, mode); err != nil { // whatever the umask is
			t.Fatal(err)
		}
		return path
	}
	foreign, ours := put("foreign", "root:x:0:0", 0o600), put("ours", "Poosh handover 2 runs abc\n", 0o600)
	worldly := put("worldly", "Poosh handover 2 runs abc\n", 0o644)
	db := filepath.Join(dir, "db")
	if err := os.Symlink(dir, filepath.Join(dir, "link")); err != nil {
		t.Fatal(err)
	}
	const on = "SERVER_SECRET=" + goodSecret + "\nHISTORY=1m\nHISTORY_FILE="
	pusher := "PUSHER_APP_ID=3\nPUSHER_APP_KEY=key\nPUSHER_APP_SECRET=" + goodSecret + "\nHISTORY_FILE=" + ours
	keeps := put("apps.json", `{"apps": [{"id": "4", "key": "other", "secret": "`+goodSecret+`", "history": "1m"}]}`, 0o600)
	keepsNothing := put("none.json", `{"apps": [{"id": "4", "key": "other", "secret": "`+goodSecret+`"}]}`, 0o600)
	const socket = "\nPUSH_SOCKET_PORT=8082\nPUSH_SOCKET_OPERATOR_TOKEN=" + goodSecret + "\nPUSH_SOCKET_DB="
	for name, row := range map[string]struct {
		dotenv         string
		error, warning string // how each begins; empty for none
	}{
		"not there yet":          {on + filepath.Join(dir, "history"), "", ""},
		"there":                  {on + ours, "", ""},
		"nothing to be in it":    {"SERVER_SECRET=" + goodSecret + "\nHISTORY_FILE=" + ours, "HISTORY_FILE is set without HISTORY or PUSHER_HISTORY", ""},
		"of Pusher alone":        {pusher + "\nPUSHER_HISTORY=1m", "", ""},
		"of an app of the file":  {pusher + "\nPUSHER_APPS=" + keeps, "", ""},
		"of no app of the file":  {pusher + "\nPUSHER_APPS=" + keepsNothing, "HISTORY_FILE is set without HISTORY or PUSHER_HISTORY", ""},
		"of Pusher that is off":  {"SERVER_SECRET=" + goodSecret + "\nPUSHER_HISTORY=1m\nHISTORY_FILE=" + ours, "HISTORY_FILE is set without HISTORY or PUSHER_HISTORY", ""},
		"a wrong time":           {pusher + "\nPUSHER_HISTORY=never", "PUSHER_HISTORY", ""},
		"a wrong file of apps":   {pusher + "\nPUSHER_APPS=" + foreign, "PUSHER_APPS", ""},
		"no directory":           {on + filepath.Join(dir, "missing", "history"), "HISTORY_FILE cannot be made in", ""},
		"a file for a directory": {on + filepath.Join(ours, "history"), "HISTORY_FILE", ""},
		"a directory":            {on + dir, "HISTORY_FILE is \"" + dir + "\", which is no file", ""},
		"of something else":      {on + foreign, "", "HISTORY_FILE is \"" + foreign + "\", a file that Poosh has not left"},
		"for all to read":        {on + worldly, "", "HISTORY_FILE is \"" + worldly + "\", which everybody on this machine may read"},
		"the database":           {on + db + socket + db, "HISTORY_FILE is the same file as PUSH_SOCKET_DB", ""},
		"the database, by a link": {on + filepath.Join(dir, "link", "db") + socket + db,
			"HISTORY_FILE is the same file as PUSH_SOCKET_DB", ""},
		"the database, by a longer way": {on + dir + "/./db" + socket + db, "HISTORY_FILE is the same file as PUSH_SOCKET_DB", ""},
		"beside the database":           {on + filepath.Join(dir, "history") + socket + db, "", ""},
		"the database of nobody":        {on + "push-socket.db", "", ""},
		"a link to what is there":       {on + to, "", ""},
		"a link to something else":      {on + toForeign, "", "HISTORY_FILE is \"" + toForeign + "\", a file that Poosh has not left"},
	} {
		t.Run(name, func(t *testing.T) {
			errors, warnings := findingsOf(t, row.dotenv, nil, false)
			for what, found := range map[string]struct {
				lines []string
				want  string
			}{"errors": {errors, row.error}, "warnings": {warnings, row.warning}} {
				if found.want == "" && len(found.lines) > 0 || found.want != "" && (len(found.lines) != 1 || !strings.HasPrefix(found.lines[0], found.want)) {
					t.Errorf("%s: %q, want one that begins with %q", what, found.lines, found.want)
				}
			}
		})
	}
}

// A file that may not be read is found, though one may be put in its place: the start would fail.
// Here that is another way of opening it, since who runs the tests may read everything.
func TestCheckOfHistoryFileThatCannotBeRead(t *testing.T) {
	path := filepath.Join(t.TempDir(), "history")
	if _, _, err := handover.Begin(path, discard); err != nil { // so that there is a mark
		t.Fatal(err)
	}
	defer func(open func(string) (*os.File, error)) { openFile = open }(openFile)
	var opened string
	openFile = func(name string) (*os.File, error) {
		opened = name
		return nil, &os.PathError{Op: "open", Path: name, Err: os.ErrPermission}
	}
	found, warnings := findingsOf(t, "SERVER_SECRET="+goodSecret+"\nHISTORY=1m\nHISTORY_FILE="+path, nil, false)
	want := "HISTORY_FILE is " + setting.Shown(path) + ", which cannot be read: permission denied; let the user of the server read it, or remove it"
	if len(found) != 1 || found[0] != want || len(warnings) > 0 || opened != path {
		t.Errorf("%q, %q; want %q", found, warnings, want)
	}
}

// A file that there cannot be keeps a server from starting; one of something else does not,
// and is as it was when the server has ended.
func TestStartWithHistoryFile(t *testing.T) {
	dir := t.TempDir()
	s, err := New(configured(t, map[string]string{"HISTORY": "1m", "HISTORY_FILE": filepath.Join(dir, "missing", "history")}), discard)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Run(t.Context()); err == nil || !strings.HasPrefix(err.Error(), "HISTORY_FILE: ") {
		t.Errorf("starts, or says %v", err)
	}
	for _, p := range s.ports {
		if err := p.ln.Close(); !errors.Is(err, net.ErrClosed) {
			t.Errorf("%s was left open: %v", p.Setting, err)
		}
	}
	path := filepath.Join(dir, "notes")
	if err := os.WriteFile(path, []byte("my notes"), 0o600); err != nil {
		t.Fatal(err)
	}
	r := run(t, map[string]string{"HISTORY": "1m", "HISTORY_FILE": path}, nil)
	r.listen(t, "r")
	r.stop()
	if err := r.wait(t); err != nil {
		t.Error(err)
	}
	if text, err := os.ReadFile(path); err != nil || string(text) != "my notes" {
		t.Errorf("%q, %v", text, err)
	}
}

// A client that does not go takes all the time that clients have, and none of the file's: it
// may come back to the next process, which has what was sent last.
func TestHistoryFileHasItsShareOfTheEnd(t *testing.T) {
	path := filepath.Join(t.TempDir(), "history")
	settings := map[string]string{"HISTORY": "1m", "HISTORY_FILE": path, "SHUTDOWN_TIMEOUT": "10s"}
	r := run(t, settings, nil)
	r.poller(t, "r") // who does not fetch the event, nor anything else
	r.send(t, "r", "last", "1")
	began := time.Now()
	r.stop()
	if err := r.wait(t); err != nil {
		t.Error(err)
	}
	if took := time.Since(began); took < time.Second {
		t.Fatalf("the end took %v: the test shows nothing", took)
	}
	if text, err := os.ReadFile(path); err != nil || !strings.HasPrefix(string(text), "Poosh handover 2 left\n") || !strings.Contains(string(text), "last") {
		t.Errorf("the file is %.100q, %v", text, err)
	}
	r = run(t, settings, nil)
	r.listen(t, "other") // so that it serves
	if st := r.kept.Stats(); st.Events < 1 {
		t.Errorf("the next process has %+v", st)
	}
	r.stop()
	if err := r.wait(t); err != nil {
		t.Error(err)
	}
}

// What is put aside says which part of it is wrong, or not there.
func TestHistoryFileOfOtherParts(t *testing.T) {
	none := func(w *handover.Writer) { w.Uint(0) }
	much := func(w *handover.Writer) { w.Uint(1 << 40) }
	for name, row := range map[string]struct {
		parts []handover.Part
		want  string
	}{
		"no history":    {[]handover.Part{{Name: "socket.io", Write: none}}, `no part \"history\"`},
		"wrong history": {[]handover.Part{{Name: "socket.io", Write: none}, {Name: historyPart, Write: much}}, `its part \"history\"`},
		"wrong clients": {[]handover.Part{{Name: "socket.io", Write: much}, {Name: historyPart, Write: none}}, `its part \"socket.io\"`},
	} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "history")
			f, _, err := handover.Begin(path, discard)
			if err != nil {
				t.Fatal(err)
			}
			if left, err := f.Write(t.Context(), row.parts...); !left || err != nil {
				t.Fatal(left, err)
			}
			s, log := ending(t, path)
			defer s.loop.Close()
			if text := log.String(); strings.Count(text, "is put aside") != 1 || !strings.Contains(text, row.want) {
				t.Errorf("told %s, want %s", text, row.want)
			}
			if _, err := os.Stat(path + ".refused"); err != nil {
				t.Error(err)
			}
		})
	}
}

// ending is a server that is to leave its history, and what its log says. It is not served;
// close its loop.
func ending(t *testing.T, path string) (*Server, *logtest.Buffer) {
	t.Helper()
	log := new(logtest.Buffer)
	s, err := New(configured(t, map[string]string{"HISTORY": "1m", "HISTORY_FILE": path}), slog.New(slog.NewTextHandler(log, nil)))
	if err != nil {
		t.Fatal(err)
	}
	if err := s.goOn(); err != nil {
		t.Fatal(err)
	}
	return s, log
}

// isLeft reports whether there is what a process left, and not the mark of one that runs.
func isLeft(t *testing.T, path string) bool {
	t.Helper()
	text, err := os.ReadFile(path)
	line, _, _ := strings.Cut(string(text), "\n")
	left, runs := strings.HasSuffix(line, " left"), strings.Contains(line, " runs ")
	if err != nil || left == runs {
		t.Fatalf("the file begins with %q, %v", line, err)
	}
	return left
}

// saving is a dialect that has something to save.
func saving(save func(*handover.Writer)) started {
	return started{"other", &dialect.Running{
		Save:     save,
		Leave:    func() []dialect.Leaver { return nil },
		Shutdown: func(context.Context) error { return nil },
	}}
}

// onlyFile reports whether nothing is beside the file in its directory.
func onlyFile(path string) bool {
	list, err := os.ReadDir(filepath.Dir(path))
	return err == nil && len(list) == 1 && list[0].Name() == filepath.Base(path)
}

// An end that has no time left for the file says so, begins none, and the next process has
// nothing.
func TestNoTimeForHistoryFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "history")
	s, log := ending(t, path)
	var asked atomic.Bool
	s.dialects = append(s.dialects, saving(func(*handover.Writer) { asked.Store(true) }))
	over, cancel := context.WithCancel(t.Context())
	cancel()
	s.leaveHistory(over)
	if text := log.String(); !strings.Contains(text, "the history is not left to the next process") {
		t.Error(text)
	}
	if !onlyFile(path) || asked.Load() {
		t.Error("a file is begun when there is no time for it")
	}
	s.drain(0)
	s.loop.Close()
	if text, err := os.ReadFile(path); err != nil || !strings.HasPrefix(string(text), "Poosh handover 2 runs ") {
		t.Errorf("%q, %v", text, err)
	}
}

// A disk that stands still holds the end up for no longer than the file's share, and what it
// takes afterwards is not left.
func TestDiskThatStandsStill(t *testing.T) {
	path := filepath.Join(t.TempDir(), "history")
	s, log := ending(t, path)
	defer s.loop.Close()
	stands := make(chan struct{})
	s.dialects = append(s.dialects, saving(func(*handover.Writer) { <-stands }))
	s.drain(4 * time.Second)
	if text := log.String(); strings.Count(text, "the history is not left to the next process") != 1 || !strings.Contains(text, "the disk takes too long") {
		t.Error(text)
	}
	close(stands)
	until(t, "what was begun to be removed", func() bool { return onlyFile(path) })
	if isLeft(t, path) {
		t.Error("it is left after the end")
	}
}

// Nothing is left while somebody is still publishing: what that publishes would be accepted,
// and in no file, and clients would be told that nothing is missing.
func TestNoHistoryFileOfWhatIsStillPublished(t *testing.T) {
	path := filepath.Join(t.TempDir(), "history")
	s, log := ending(t, path)
	defer s.loop.Close()
	if err := s.gate.Enter(t.Context()); err != nil {
		t.Fatal(err)
	}
	s.drain(2 * time.Second)
	s.gate.Leave()
	if text := log.String(); isLeft(t, path) || !strings.Contains(text, "events are still being published") {
		t.Errorf("it is left %v, told %s", isLeft(t, path), text)
	}

	// One that was late for its own phase and is done before the file's has its event in it.
	path = filepath.Join(t.TempDir(), "history")
	s, log = ending(t, path)
	defer s.loop.Close()
	if err := s.gate.Enter(t.Context()); err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() { // ends with the server
		s.drain(10 * time.Second)
		close(ended)
	}()
	until(t, "the gate to be given up", func() bool { return strings.Contains(log.String(), "part=publications") })
	s.hub.Publish(&hub.Publication{App: poosh.App, Room: "r", Event: "the last", Data: []byte("1")})
	s.gate.Leave()
	<-ended
	if text, err := os.ReadFile(path); err != nil || !isLeft(t, path) || !strings.Contains(string(text), "the last") {
		t.Errorf("%.200q, %v, told %s", text, err, log.String())
	}
}

// A process goes on with what it keeps itself, whatever the one before kept beside that.
func TestHistoryFileAfterOtherSettings(t *testing.T) {
	path := filepath.Join(t.TempDir(), "history")
	for i, keeps := range []map[string]string{
		{"HISTORY": "5m"}, {"HISTORY": "5m", "PUSHER_HISTORY": "5m"}, {"PUSHER_HISTORY": "5m"}, {"PUSHER_HISTORY": "5m", "HISTORY": "5m"},
	} {
		settings := map[string]string{"HISTORY_FILE": path, "PUSHER_APP_ID": "3", "PUSHER_APP_KEY": "key", "PUSHER_APP_SECRET": goodSecret}
		maps.Copy(settings, keeps)
		r := run(t, settings, nil)
		r.listen(t, "r")
		want := []int{0, 1, 0, 0}[i] // of the one event of each process before
		if st := r.kept.Stats(); st.Events < want || want == 0 && st.Events > 0 {
			t.Errorf("process %d begins with %+v, want %d events", i, st, want)
		}
		r.send(t, "r", "event", "1")
		r.stop()
		if err := r.wait(t); err != nil {
			t.Error(err)
		}
		if text, err := os.ReadFile(path); err != nil || !strings.HasPrefix(string(text), "Poosh handover 2 left\n") {
			t.Fatalf("process %d leaves %.100q, %v", i, text, err)
		}
	}
}
