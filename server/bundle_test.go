package server

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"encoding/csv"
	"io"
	"maps"
	"net/http"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// unpack returns the files of an archive.
func unpack(t *testing.T, body io.Reader) map[string][]byte {
	t.Helper()
	packed, err := gzip.NewReader(body)
	if err != nil {
		t.Fatal(err)
	}
	files := make(map[string][]byte)
	for r := tar.NewReader(packed); ; {
		h, err := r.Next()
		if err == io.EOF {
			return files
		}
		if err != nil {
			t.Fatal(err)
		}
		text, err := io.ReadAll(r)
		if err != nil {
			t.Fatal(err)
		}
		files[path.Base(h.Name)] = text
		if h.Mode != 0o600 || strings.Contains(h.Name, "..") {
			t.Errorf("%s has mode %o", h.Name, h.Mode)
		}
	}
}

// inflated is a profile as it is and uncompressed: bytes may hide in what is packed.
func inflated(text []byte) []byte {
	r, err := gzip.NewReader(bytes.NewReader(text))
	if err != nil {
		return text
	}
	all, _ := io.ReadAll(r)
	return append(all, text...)
}

// The archive has all that it is to have, and no secret, payload, room or address of a
// client in any of it.
func TestBundle(t *testing.T) {
	const payload, room = "payload-that-nobody-may-see", "room-that-nobody-may-see"
	secrets := map[string]string{
		"SERVER_SECRET": testSecret, "ADMIN_TOKEN": "admin-token-of-operators", "PUSHER_APP_SECRET": "secret-of-a-pusher-app",
		"PUSHER_WEBHOOK_URL": "https://user:word-of-a-webhook@hooks.example/token-of-a-webhook", "PUSH_SOCKET_OPERATOR_TOKEN": "token-of-push-socket",
		"SHOP_SOCKTOPUS_SECRET": "secret-of-socktopus",
	}
	env := map[string]string{"ADMIN_PORT": "0", "PUSHER_PORT": "0", "PUSHER_APP_ID": "3", "PUSHER_APP_KEY": "key-of-a-pusher-app", "SOCKTOPUS_PORT": "0",
		"PUSH_SOCKET_PORT": "0", "PUSH_SOCKET_DB": filepath.Join(t.TempDir(), "x.db")}
	maps.Copy(env, secrets)
	started := time.Now()
	r := run(t, env, nil)
	ws := r.listen(t, room)
	stop, sending := make(chan struct{}), make(chan struct{})
	go func() { // ends with stop
		defer close(sending)
		for {
			select {
			case <-stop:
				return
			case <-time.After(5 * time.Millisecond):
				if res := r.send(t, room, "event-that-nobody-may-see", `"`+payload+`"`); res.StatusCode != 200 {
					t.Errorf("sending: %s", res.Status)
				}
				_ = ws.SetReadDeadline(time.Now().Add(patience))
				if _, _, err := ws.ReadMessage(); err != nil {
					t.Errorf("listening: %v", err)
					return
				}
			}
		}
	}()
	for end := time.Now().Add(patience); r.series.Samples() < 3; time.Sleep(100 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("there are no samples of the series")
		}
	}
	sampled := r.series.Samples()
	req, err := http.NewRequest("POST", "http://"+r.Addrs()["ADMIN_PORT"].String()+"/api/bundle?seconds=1", nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Close = true
	req.SetBasicAuth("anybody", secrets["ADMIN_TOKEN"])
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	if res.StatusCode != 200 || res.Header.Get("Content-Type") != "application/gzip" || !strings.Contains(res.Header.Get("Content-Disposition"), ".tar.gz") {
		t.Fatalf("%s %v", res.Status, res.Header)
	}
	files := unpack(t, res.Body)
	close(stop)
	<-sending

	want := []string{"closed.json", "cpu.pprof", "goroutines.pprof", "goroutines.txt", "heap.pprof", "ready.json", "series.csv", "settings.txt", "status.json", "trace.out", "version.txt"}
	if names := slices.Sorted(maps.Keys(files)); !slices.Equal(names, want) {
		t.Errorf("the archive has %q, want %q\n%s", names, want, files["missing.txt"])
	}
	hidden := append(slices.Collect(maps.Values(secrets)), payload, room, "event-that-nobody-may-see", "word-of-a-webhook", "token-of-a-webhook")
	for name, text := range files {
		if len(text) == 0 {
			t.Errorf("%s is empty", name)
		}
		for _, h := range hidden {
			if bytes.Contains(inflated(text), []byte(h)) {
				t.Errorf("%s has %q in it", name, h)
			}
		}
	}
	for name, begins := range map[string]string{"trace.out": "go 1.", "cpu.pprof": "\x1f\x8b", "heap.pprof": "\x1f\x8b", "goroutines.txt": "goroutine profile: total "} {
		if !bytes.HasPrefix(files[name], []byte(begins)) {
			t.Errorf("%s begins with %q", name, files[name][:min(20, len(files[name]))])
		}
	}
	for _, line := range []string{"SERVER_SECRET: set\n", "ADMIN_TOKEN: set\n", "PUSHER_WEBHOOK_URL: set\n", "MAX_CONNECTIONS=", "ADMIN_PPROF=false\n"} {
		if !bytes.Contains(files["settings.txt"], []byte(line)) {
			t.Errorf("settings.txt lacks %q:\n%s", line, files["settings.txt"])
		}
	}
	rows, err := csv.NewReader(bytes.NewReader(files["series.csv"])).ReadAll()
	if err != nil || len(rows) < 3 {
		t.Fatalf("%v\n%s", err, files["series.csv"])
	}
	at := slices.Index(rows[0], "published")
	if at < 0 || rows[len(rows)-1][at] == "0" || slices.Index(rows[0], "heap_bytes") < 0 {
		t.Errorf("the series are %q", rows)
	}
	// All seconds that there are, up to the one in which it was asked for.
	first, err := time.Parse(time.RFC3339, rows[1][0])
	if err != nil || first.After(started.Add(2*time.Second)) || len(rows)-1 < sampled {
		t.Errorf("%v: %d rows of %d seconds, the first of %v, and the server started at %v", err, len(rows)-1, sampled, first, started)
	}
	for i, row := range rows[2:] {
		if at, err := time.Parse(time.RFC3339, row[0]); err != nil || at.Before(first.Add(time.Duration(i)*time.Second)) {
			t.Errorf("second %d is told of as %s, and the first as %v", i+1, row[0], first)
		}
	}
	r.stop()
	if err := r.wait(t); err != nil {
		t.Error(err)
	}
}
