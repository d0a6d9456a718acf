package migration

import (
	"strings"
	"testing"
)

// What a .env means to the servers: Laravel fills ${NAME} in, outside single quotes, and
// Node and Docker nothing; nobody $NAME. The shell prints quotes in its own way.
func TestReadEnv(t *testing.T) {
	for _, row := range []struct{ text, plain, laravel string }{
		{"A=pa$WORD1x", "pa$WORD1x", "pa$WORD1x"},
		{`A="p$1"`, "p$1", "p$1"},
		{`A='p$1'`, "p$1", "p$1"},
		{"A=$(B)", "$(B)", "$(B)"},
		{"A=p${B}x", "p${B}x", "pbex"},
		{`A="p${B}x"`, "p${B}x", "pbex"},
		{`A='p${B}x'`, "p${B}x", "p${B}x"},
		{`A="p\${B}x"`, `p\${B}x`, "p${B}x"},
		{"A=p${NONE}x", "p${NONE}x", "p${NONE}x"},
		{"A=${B", "${B", "${B"},
		{"A=p # c", "p", "p"},
		{"A=p#q", "p#q", "p"},
		{"A=#q", "", ""},
		{`A="p # q" # c`, "p # q", "p # q"},
		{`A="p\nq"`, "p\nq", "p\nq"},
		{`A="p\"q"`, `p\"q`, `p"q`},
		{`A="p\\q"`, `p\\q`, `p\q`},
		{`A='p\'`, `p\`, `p\`},
		{"A=\"p\nq\"", "p\nq", "p\nq"},
		{" export  A = p \r\nC=1", "p", "p"},
		{"A=", "", ""},
		{"A=1\nA=2", "2", "2"},
		{"A=p q", "p q", "p q"},
		// export -p of dash, busybox and bash
		{`export A='it'"'"'s $B ${B} # x'`, "it's $B ${B} # x", "it's $B ${B} # x"},
		{`export A='it'\''s'`, "it's", "it's"},
		{"export A=\"p\\$B \\\\ \\\" \\`\"", "p$B \\ \" `", "p$B \\ \" `"},
		{"export NAME\nexport A='p\nq'", "p\nq", "p\nq"},
	} {
		for _, laravel := range []bool{false, true} {
			want := row.plain
			if laravel {
				want = row.laravel
			}
			env, err := readEnv("B=be\n"+row.text+"\n", laravel)
			if err != nil || env["A"] != want {
				t.Errorf("%q, as Laravel %v: %q, %v, want %q", row.text, laravel, env["A"], err, want)
			}
		}
	}
}

// The line that is named is the one where what cannot be read begins, and references
// make no more than a bounded text.
func TestReadEnvErrors(t *testing.T) {
	double := "A0=" + strings.Repeat("x", 1000) + "\n"
	for i := range 40 {
		double += "A" + string(rune('a'+i%26)) + strings.Repeat("_", i/26) + "=${A0}${A0}\nA0=${A" + string(rune('a'+i%26)) + strings.Repeat("_", i/26) + "}\n"
	}
	for text, want := range map[string]string{
		"A=1\nhush hush\n":        "line 2: want NAME=value",
		"A=1\nB=\"hush\nhush\n":   "line 2: want NAME=value",
		"A='1'hush\n":             "line 1: want NAME=value",
		"# c\n\n=hush\n":          "line 3: want NAME=value",
		"A=\"x\ny\"\nB='hush":     "line 3: want NAME=value",
		double:                    "references",
		"é=1":                     "line 1: want NAME=value",
		"export A='hush'\"hush\n": "line 1: want NAME=value",
	} {
		if _, err := readEnv(text, true); err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "hush") {
			t.Errorf("%.40q: %v, want %s", text, err, want)
		}
	}
}

// A secret comes out as it went in, and of a file beside the configuration too.
func TestSecretWithDollar(t *testing.T) {
	for _, row := range []struct{ name, text string }{
		{"soketi.env", "SOKETI_DEFAULT_APP_ID=1\nSOKETI_DEFAULT_APP_KEY=k\nSOKETI_DEFAULT_APP_SECRET=sixteen$LETTERS1x\n"},
		{"reverb.env", "REVERB_APP_ID=1\nREVERB_APP_KEY=k\nX=sixteen\nREVERB_APP_SECRET=\"${X}$LETTERS1x\"\n"},
	} {
		if _, out, errs := fromText(t, row.name, row.text, Options{}); !strings.Contains(out, `"secret": "sixteen$LETTERS1x"`) {
			t.Errorf("%s: %s\n%s", row.name, out, errs)
		}
	}
}
