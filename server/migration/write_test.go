package migration

import (
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"poosh/server"
)

// Files are for their owner alone, and never take another's place unasked.
func TestWrittenFiles(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "new")
	o := Options{Out: dir}
	if code, out, errs := imported(t, "testdata/soketi-plain.env", o); code != Mapped || out != "" || !strings.Contains(errs, filepath.Join(dir, "apps.json")) {
		t.Fatalf("%d, %q, %q", code, out, errs)
	}
	for _, name := range []string{".env", "apps.json"} {
		info, err := os.Stat(filepath.Join(dir, name))
		if err != nil || info.Mode().Perm() != 0o600 || info.Size() == 0 {
			t.Errorf("%s: %v, %v", name, info, err)
		}
	}
	if err := os.Remove(filepath.Join(dir, "apps.json")); err != nil {
		t.Fatal(err)
	}
	before := read(t, dir, ".env")
	if code, _, errs := imported(t, "testdata/soketi.env", o); code != Failed || !strings.Contains(errs, ".env is there: --force") {
		t.Errorf("%d, %q", code, errs)
	}
	if _, err := os.Stat(filepath.Join(dir, "apps.json")); err == nil || read(t, dir, ".env") != before {
		t.Error("something was written though .env was there")
	}

	o.Force = true
	target := filepath.Join(t.TempDir(), "target")
	if err := os.WriteFile(target, []byte("kept"), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(target, filepath.Join(dir, "apps.json")); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(filepath.Join(dir, ".env"), 0o644); err != nil {
		t.Fatal(err)
	}
	if code, _, errs := imported(t, "testdata/soketi.env", o); code != NeedLook {
		t.Errorf("%d, %q", code, errs)
	}
	for _, name := range []string{".env", "apps.json"} {
		if info, err := os.Lstat(filepath.Join(dir, name)); err != nil || info.Mode() != 0o600 {
			t.Errorf("%s: %v, %v", name, info, err)
		}
	}
	if read(t, dir, ".env") == before || read(t, filepath.Dir(target), "target") != "kept" {
		t.Error("the old file is there, or what a link named was written to")
	}
	if list, err := os.ReadDir(dir); err != nil || len(list) != 2 {
		t.Errorf("%v, %v", list, err)
	}
}

// Of two files none is written if one cannot be.
func TestAllFilesOrNone(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, ".env"), []byte("OLD=1\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.MkdirAll(filepath.Join(dir, "apps.json", "full"), 0o700); err != nil {
		t.Fatal(err)
	}
	for _, force := range []bool{true, false} {
		if code, _, errs := imported(t, "testdata/soketi.env", Options{Out: dir, Force: force}); code != Failed || errs == "" {
			t.Errorf("%d, %q", code, errs)
		}
		if list, err := os.ReadDir(dir); read(t, dir, ".env") != "OLD=1\n" || err != nil || len(list) != 2 {
			t.Errorf("force %v: %v, %v, .env is %q", force, list, err, read(t, dir, ".env"))
		}
	}
	// Where the first one is new, nothing is left of it.
	if err := os.Remove(filepath.Join(dir, ".env")); err != nil {
		t.Fatal(err)
	}
	if code, _, _ := imported(t, "testdata/soketi.env", Options{Out: dir, Force: true}); code != Failed {
		t.Error(code)
	}
	if list, err := os.ReadDir(dir); err != nil || len(list) != 1 {
		t.Errorf("%v, %v", list, err)
	}
}

// What was there comes back when a later file cannot be put into its place.
func TestUndoneFiles(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, ".env")
	if err := os.WriteFile(path, []byte("OLD=1\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	w := &writing{force: true}
	for _, name := range []string{".env", "apps.json"} {
		if err := w.claim(filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	made, err := temporary(dir, file{envFile, []byte("NEW=1\n")})
	if err == nil {
		err = os.Rename(made, path)
	}
	if err != nil {
		t.Fatal(err)
	}
	w.end(false)
	if list, err := os.ReadDir(dir); read(t, dir, ".env") != "OLD=1\n" || err != nil || len(list) != 1 {
		t.Errorf("%v, %v, %q", list, err, read(t, dir, ".env"))
	}
}

// Where nothing can be tried a person learns why. A .env without apps needs no file, nor
// does finding out whose one is.
func TestNoTemporaryDirectory(t *testing.T) {
	t.Setenv("TMPDIR", filepath.Join(t.TempDir(), "none"))
	if code, _, errs := imported(t, "testdata/soketi.env", Options{}); code != Failed || !strings.Contains(errs, "TMPDIR") {
		t.Errorf("%d, %q", code, errs)
	}
	if code, _, errs := imported(t, "testdata/poosh.env", Options{}); code != Mapped {
		t.Errorf("%d, %q", code, errs)
	}
}

// The file that holds secrets while the result is tried is gone after Ctrl-C too.
func TestInterrupted(t *testing.T) {
	t.Setenv("TMPDIR", t.TempDir())
	err := within(file{appsFile, []byte("secret")}, func(path string) {
		if b, err := os.ReadFile(path); err != nil || string(b) != "secret" {
			t.Errorf("%q, %v", b, err)
		}
		self, err := os.FindProcess(os.Getpid())
		if err == nil {
			err = self.Signal(os.Interrupt)
		}
		if err != nil {
			t.Fatal(err)
		}
		time.Sleep(100 * time.Millisecond) // in which the signal would end the process
	})
	if err == nil {
		t.Error("nothing is said of the signal")
	}
	if list, err := os.ReadDir(os.Getenv("TMPDIR")); err != nil || len(list) != 0 {
		t.Errorf("%v, %v", list, err)
	}
}

func read(t *testing.T, dir, name string) string {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(dir, name))
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// Whatever a value is, the line that is written of it is read as the same.
func TestEnvLines(t *testing.T) {
	const letters = `ab"'$\ #=` + "\t{}né"
	values := []string{"plain", `$HOME`, `${HOME}`, `"quoted"`, `'`, `"`, `a"b'c`, `$"x"`, `\`, `a\nb`, `"a\nb"`, `a # b`, `x\`}
	random := rand.New(rand.NewPCG(1, 2))
	for range 3000 {
		var b strings.Builder
		for range 1 + random.IntN(8) {
			runes := []rune(letters)
			b.WriteRune(runes[random.IntN(len(runes))])
		}
		values = append(values, b.String())
	}
	var text strings.Builder
	written := make(map[string]string)
	refused := 0
	for i, value := range values {
		name := "N" + strings.Repeat("A", i/1000) + "_" + string(rune('A'+i%26)) + "_" + strings.Repeat("B", i%1000/26)
		line, ok := envLine(name, value)
		if !ok {
			refused++
			if strings.TrimSpace(value) == value && !strings.HasPrefix(value, `\$`) {
				t.Errorf("%q is refused", value)
			}
			continue
		}
		written[name] = value
		text.WriteString(line + "\n")
	}
	path := filepath.Join(t.TempDir(), ".env")
	if err := os.WriteFile(path, []byte(text.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	lookup, err := server.WithDotEnv(path, func(string) (string, bool) { return "", false })
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range written {
		if got, _ := lookup(name); got != want {
			t.Errorf("%q is read as %q", want, got)
		}
	}
	if len(written) < 1000 || refused == 0 {
		t.Errorf("%d written, %d refused", len(written), refused)
	}
}
