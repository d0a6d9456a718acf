package process

import (
	"fmt"
	"os/exec"
	"path/filepath"
)

// Build builds the program into a directory, with the race detector if race is set,
// and returns where it is.
func Build(dir string, race bool) (string, error) {
	program := filepath.Join(dir, "poosh")
	args := []string{"build", "-o", program}
	if race {
		args = append(args, "-race")
	}
	if out, err := exec.Command("go", append(args, "poosh")...).CombinedOutput(); err != nil {
		return "", fmt.Errorf("go build: %w\n%s", err, out)
	}
	return program, nil
}
