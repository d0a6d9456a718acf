package server

import (
	"encoding/hex"
	"encoding/json"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/joho/godotenv"

	"poosh/auth"
)

// lookupIn returns a look-up in a map, the environment of a test.
func lookupIn(env map[string]string) func(string) (string, bool) {
	return func(name string) (string, bool) {
		value, ok := env[name]
		return value, ok
	}
}

func writeDotEnv(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), ".env")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// The vectors are what dotenv 1.2.0 itself said; testdata/dotenv/README.md tells
// how they are made.
func TestDotEnvMeansWhatItMeantToNode(t *testing.T) {
	raw, err := os.ReadFile("testdata/dotenv/vectors.json")
	if err != nil {
		t.Fatal(err)
	}
	var vectors []struct {
		Name, File, Hex string
		Env, Want       map[string]string
	}
	if err := json.Unmarshal(raw, &vectors); err != nil {
		t.Fatal(err)
	}
	if len(vectors) < 50 {
		t.Fatalf("only %d vectors", len(vectors))
	}
	for _, v := range vectors {
		t.Run(v.Name, func(t *testing.T) {
			text := v.File
			if v.Hex != "" {
				b, err := hex.DecodeString(v.Hex)
				if err != nil {
					t.Fatal(err)
				}
				text = string(b)
			}
			lookup, err := WithDotEnv(writeDotEnv(t, text), lookupIn(v.Env))
			if err != nil {
				t.Fatal(err)
			}
			want := maps.Clone(v.Env)
			if want == nil {
				want = make(map[string]string)
			}
			maps.Copy(want, v.Want)
			for key, value := range want {
				got, ok := lookup(key)
				if strings.Contains(key, "-") {
					if ok {
						t.Errorf("%s = %q: a key with a dash became a setting", key, got)
					}
					continue
				}
				if !ok || got != value {
					t.Errorf("%s = %q, %v; dotenv says %q", key, got, ok, value)
				}
			}
			// Nothing else may have become a key.
			file, err := ParseDotEnv(string(auth.ValidUTF8([]byte(text))), lookupIn(v.Env))
			if err != nil {
				t.Fatal(err)
			}
			for key := range file {
				if _, ok := want[key]; !ok {
					t.Errorf("%s = %q, which dotenv does not read", key, file[key])
				}
			}
		})
	}
}

// The table in the comment of WithDotEnv, both columns.
func TestDotEnvDifferencesFromGodotenv(t *testing.T) {
	const refused = "(refused)"
	for _, row := range []struct{ line, godotenv, dotenv string }{
		{`A=b # c`, `b`, `b # c`},
		{`A="b" # c`, `b`, `b" # c`},
		{`A=b$C`, `bfile`, `b$C`},
		{`A=b${C}`, `bfile`, `b${C}`},
		{`A=$C`, `file`, `file`},
		{`A=$D`, ``, `environment`},
		{`A="b`, refused, `b`},
		{`A='b`, refused, `b`},
		{`A='b"`, refused, `b`},
		{`A=""b""`, refused, `"b"`},
		{`A=" b "`, ` b `, `b`},
		{`A="b\tc"`, `btc`, `b\tc`},
		{`A="b\\c"`, `b\c`, `b\\c`},
		{"A=\"b\nc\"", "b\nc", "b"},
		{`A: b`, `b`, ``},
		{`export A=b`, `b`, ``},
		{`A=b` + "\n" + `any other line`, refused, `b`},
		{"\ufeffA=b", refused, "b"},
		{`A=b` + "\n" + `a-b=c`, refused, `b`},
	} {
		text := row.line + "\n"
		if strings.Contains(text, "$") {
			text = "C=file\n" + text
		}
		file, err := godotenv.Unmarshal(text)
		if got := file["A"]; (err != nil) != (row.godotenv == refused) || err == nil && got != row.godotenv {
			t.Errorf("%q: godotenv alone says %q, %v; the table %q", row.line, got, err, row.godotenv)
		}
		lookup, err := WithDotEnv(writeDotEnv(t, text), lookupIn(map[string]string{"D": "environment"}))
		if err != nil {
			t.Errorf("%q: %v", row.line, err)
			continue
		}
		if got, _ := lookup("A"); got != row.dotenv {
			t.Errorf("%q: %q, want %q", row.line, got, row.dotenv)
		}
	}
}

func TestDotEnvFile(t *testing.T) {
	env := lookupIn(map[string]string{"SET": "environment", "EMPTY": ""})

	t.Run("not there", func(t *testing.T) {
		lookup, err := WithDotEnv(filepath.Join(t.TempDir(), ".env"), env)
		if err != nil {
			t.Fatal(err)
		}
		if v, ok := lookup("SET"); v != "environment" || !ok {
			t.Errorf("SET = %q, %v", v, ok)
		}
		if v, ok := lookup("UNSET"); v != "" || ok {
			t.Errorf("UNSET = %q, %v", v, ok)
		}
	})
	t.Run("an empty variable the file does not know stays set", func(t *testing.T) {
		lookup, err := WithDotEnv(writeDotEnv(t, "OTHER=x"), env)
		if err != nil {
			t.Fatal(err)
		}
		if v, ok := lookup("EMPTY"); v != "" || !ok {
			t.Errorf("EMPTY = %q, %v", v, ok)
		}
	})
	t.Run("a directory", func(t *testing.T) {
		dir := t.TempDir()
		if _, err := WithDotEnv(dir, env); err == nil || !strings.Contains(err.Error(), dir) {
			t.Errorf("error is %v, want one that names %s", err, dir)
		}
	})
	t.Run("a loop of links", func(t *testing.T) {
		path := filepath.Join(t.TempDir(), ".env")
		if err := os.Symlink(path, path); err != nil {
			t.Skip("no symbolic links on this system: ", err)
		}
		if _, err := WithDotEnv(path, env); err == nil || !strings.Contains(err.Error(), path) {
			t.Errorf("error is %v, want one that names %s", err, path)
		}
	})
	t.Run("not readable", func(t *testing.T) {
		path := writeDotEnv(t, "A=1")
		if err := os.Chmod(path, 0); err != nil {
			t.Fatal(err)
		}
		if f, err := os.Open(path); err == nil { // root reads everything
			f.Close()
			return
		}
		if _, err := WithDotEnv(path, env); err == nil || !strings.Contains(err.Error(), fs.ErrPermission.Error()) {
			t.Errorf("error is %v", err)
		}
	})
	t.Run("too large", func(t *testing.T) {
		path := writeDotEnv(t, "A=1\n"+strings.Repeat("#", maxDotEnv))
		if _, err := WithDotEnv(path, env); err == nil || !strings.Contains(err.Error(), "larger than") {
			t.Errorf("error is %v", err)
		}
	})
}

// Whatever a file holds, godotenv must read back exactly what was written for it.
func FuzzDotEnv(f *testing.F) {
	for _, s := range []string{"A=1", "A=\"x\\ny\"", "A=it's # x\\", "A=\\\\$B\nB=$A", "A='\"'", "A=\"\\\"\nB=\\\\\\\"", "\ufeffA=\u00e9\u2028"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		text = string(auth.ValidUTF8([]byte(text)))
		none := lookupIn(nil)
		got, err := ParseDotEnv(text, none)
		if err != nil {
			t.Fatal(err)
		}
		want := make(map[string]string)
		for line := range strings.SplitSeq(text, "\n") {
			if key, value, ok := splitDotEnvLine(line); ok {
				want[key] = dotEnvValue(value, func(name string) string { return want[name] })
			}
		}
		maps.DeleteFunc(want, func(key, _ string) bool { return strings.Contains(key, "-") })
		for key, value := range want {
			if value, _, _ = strings.Cut(value, "\x00"); got[key] != value {
				t.Errorf("%s is %q, want %q", key, got[key], value)
			}
		}
		if len(got) != len(want) {
			t.Errorf("keys of %q, want those of %q", got, want)
		}
	})
}
