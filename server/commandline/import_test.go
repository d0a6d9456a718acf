package commandline

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestImport(t *testing.T) {
	const file = "../migration/testdata/soketi-plain.env"
	dir := t.TempDir()
	for _, row := range []struct {
		args     []string
		code     int
		out, err string
	}{
		{[]string{"import", file}, 0, "PUSHER_PORT=6004", "is read as soketi"},
		{[]string{"import", "--json", "--from", "soketi", file}, 0, `"source": "soketi"`, ""},
		{[]string{"import", "--out", dir, file}, 0, "", "apps.json"},
		{[]string{"import", "--out", dir, file}, 1, "", "--force replaces it"},
		{[]string{"import", "--out", dir, "--force", file}, 0, "", "apps.json"},
		{[]string{"import", "../migration/testdata/soketi.json"}, 3, "PUSHER_PORT=6002", "Needs a look"},
		{[]string{"import", filepath.Join(dir, "none")}, 1, "", "no such file"},
		{[]string{"import", "--force", file}, 2, "", "--force is for --out"},
		{[]string{"import"}, 2, "", "want FILE"},
		{[]string{"import", file, file}, 2, "", "cannot understand"},
		{[]string{"import", "-"}, 0, "SERVER_PORT=1339", "the Node server Poosh"},
	} {
		var out, errs bytes.Buffer
		code := Run(row.args, Program{Stdin: strings.NewReader("SERVER_PORT=1339\nSERVER_SECRET=a-long-enough-one\n"), Stdout: &out, Stderr: &errs})
		if code != row.code || !strings.Contains(out.String(), row.out) || !strings.Contains(errs.String(), row.err) || row.out == "" && out.Len() > 0 {
			t.Errorf("%q: %d, %q, %q", row.args, code, out.String(), errs.String())
		}
	}
	if info, err := os.Stat(filepath.Join(dir, ".env")); err != nil || info.Mode().Perm() != 0o600 {
		t.Error(info, err)
	}
}
