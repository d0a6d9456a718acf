package main

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"poosh/server/logtest"
)

// Colours are on a terminal alone, and not for who does not want them.
func TestColours(t *testing.T) {
	if _, err := exec.LookPath("script"); err != nil {
		t.Fatal("script is not installed: apt-get install bsdutils")
	}
	for name, row := range map[string]struct {
		env      []string
		terminal bool
		want     bool
	}{
		"a terminal": {[]string{"TERM=xterm"}, true, true}, "a pipe": {[]string{"TERM=xterm"}, false, false},
		"NO_COLOR": {[]string{"TERM=xterm", "NO_COLOR=1"}, true, false}, "NO_COLOR, but empty": {[]string{"TERM=xterm", "NO_COLOR="}, true, true}, "dumb": {[]string{"TERM=dumb"}, true, false},
	} {
		cmd := exec.Command(program, "check", "--running")
		if row.terminal {
			cmd = exec.Command("script", "-qec", program+" check --running", "/dev/null")
		}
		cmd.Dir, cmd.Env = t.TempDir(), append(row.env, "PATH="+os.Getenv("PATH"))
		out, _ := cmd.CombinedOutput() // it exits with 1
		if coloured := bytes.Contains(out, []byte("\x1b[31merror")); coloured != row.want || !bytes.Contains(out, []byte("SERVER_SECRET is not set")) {
			t.Errorf("%s: colours %v, want %v\n%q", name, coloured, row.want, out)
		}
	}
}

// What takes a while says so on a terminal, and leaves nothing of it there.
func TestProgress(t *testing.T) {
	s := startStation(t)
	for env, want := range map[string]bool{"NO_COLOR=": true, "NO_COLOR=1": false} {
		cmd := exec.Command("script", "-qec", program+" bundle --seconds 2 -o "+t.TempDir()+"/x.tar.gz", "/dev/null")
		cmd.Dir, cmd.Env = s.dir, []string{"TERM=xterm", env, "PATH=" + os.Getenv("PATH")}
		out, err := cmd.CombinedOutput()
		if err != nil || regexp.MustCompile(`looks at itself for 2 s: [0-9]+ s`).Match(out) != want || !bytes.HasSuffix(out, []byte(" bytes\r\n")) {
			t.Errorf("%s: %v, %q", env, err, out)
		}
	}
	code, out, err := s.run("bundle", "--seconds", "1", "-o", "y.tar.gz")
	if code != 0 || err != "" || strings.Contains(out, "itself") {
		t.Errorf("without a terminal: exit code %d, %q, %q", code, out, err)
	}
}

// A shell with the script completes commands, what is below them and flags, as keys are
// pressed in a terminal.
func TestCompletion(t *testing.T) {
	for tool, install := range map[string]string{"script": "bsdutils", "bash": "bash", "zsh": "zsh", "fish": "fish"} {
		if _, err := exec.LookPath(tool); err != nil {
			t.Fatalf("%s is not installed: apt-get install %s", tool, install)
		}
	}
	const library = "/usr/share/bash-completion/bash_completion"
	if _, err := os.Stat(library); err != nil {
		t.Fatal("bash-completion is not installed: apt-get install bash-completion")
	}
	home := t.TempDir()
	for name, text := range map[string]string{
		".bashrc": "PS1='> '\n. " + library + "\nsource <(poosh completion bash)\n",
		".zshrc":  "PS1='> '\nautoload -U compinit\ncompinit -u\nsource <(poosh completion zsh)\n",
		// What fish offers by itself, before a key asks for it, is no completion.
		".config/fish/config.fish": "set -g fish_greeting\nset -g fish_autosuggestion_enabled 0\nfunction fish_prompt\necho -n '> '\nend\npoosh completion fish | source\n",
	} {
		if err := os.MkdirAll(filepath.Dir(filepath.Join(home, name)), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(home, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	// Without these fish makes them of all manual pages, in the background and for longer than
	// it runs itself.
	for _, dir := range []string{".local/share/fish/generated_completions", ".cache/fish/generated_completions"} {
		if err := os.MkdirAll(filepath.Join(home, dir), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	for shell, start := range map[string]string{"bash": "bash --noprofile --rcfile " + home + "/.bashrc -i", "zsh": "zsh -i", "fish": "fish -i"} {
		t.Run(shell, func(t *testing.T) {
			cmd := exec.Command("script", "-qec", start, "/dev/null")
			cmd.Dir = home
			cmd.Env = []string{"HOME=" + home, "ZDOTDIR=" + home, "TERM=dumb", "PATH=" + filepath.Dir(program) + ":" + os.Getenv("PATH")}
			keys, err := cmd.StdinPipe()
			if err != nil {
				t.Fatal(err)
			}
			out := new(logtest.Buffer)
			cmd.Stdout, cmd.Stderr = out, out
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			hung := time.AfterFunc(3*time.Minute, func() { _ = cmd.Process.Kill() })
			defer hung.Stop()
			// What is typed before the shell reads keys is no completion.
			prompt := func() bool { return strings.HasSuffix(strings.TrimSuffix(out.String(), "\x1b[?2004h"), "> ") } // with which it has pastes marked
			for _, row := range []struct{ typed, completed, done string }{
				{"poosh versi\t", "poosh version", "poosh v0.0.0-test"},
				{"poosh version --js\t", "poosh version --json", `{"version":"v0.0.0-test"`},
				{"poosh sockto\ttok\t a b c", "token", "Generated Token: "},
				{"poosh completion fi\t", "poosh completion fish", "__poosh_perform_completion"},
			} {
				eventually(t, "a prompt of "+shell, prompt)
				before := len(out.String())
				stands := func(text string) func() bool {
					return func() bool { return strings.Contains(out.String()[before:], text) }
				}
				if _, err := keys.Write([]byte(row.typed)); err != nil {
					t.Fatal(err)
				}
				eventually(t, row.typed+" to be completed", stands(row.completed)) // as a person waits for it
				if _, err := keys.Write([]byte("\r")); err != nil {
					t.Fatal(err)
				}
				eventually(t, row.typed+" to do "+row.done, stands(row.done))
			}
			eventually(t, "a prompt of "+shell, prompt)
			if _, err := keys.Write([]byte("exit\r")); err != nil {
				t.Fatal(err)
			}
			_ = cmd.Wait()
		})
	}
}
