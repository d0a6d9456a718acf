//go:build unix

package postgrestest

import (
	"errors"
	"os"
	"os/exec"
	"os/user"
	"strconv"
	"syscall"
)

// An owner is whom a server runs as; nil for who runs the tests.
type owner = *syscall.Credential

// goOn has a process go on that was stopped.
const goOn = syscall.SIGCONT

// credential is whom a server runs as: it refuses to be root's.
func credential() (owner, error) {
	if os.Geteuid() != 0 {
		return nil, nil
	}
	for _, name := range []string{"postgres", "nobody"} {
		if u, err := user.Lookup(name); err == nil {
			uid, err := strconv.ParseUint(u.Uid, 10, 32)
			gid, err2 := strconv.ParseUint(u.Gid, 10, 32)
			return &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}, errors.Join(err, err2)
		}
	}
	return nil, errors.New("neither postgres nor nobody is a user of this machine, and PostgreSQL does not run as root")
}

// directory makes one for a server: in /tmp and not where TMPDIR says, which other users
// may have no way into, or whose name may be too long for a socket in it.
func directory(as owner) (string, error) {
	dir, err := os.MkdirTemp("/tmp", "pg")
	if err != nil || as == nil {
		return dir, err
	}
	if err := os.Chown(dir, int(as.Uid), int(as.Gid)); err != nil {
		return "", errors.Join(err, os.RemoveAll(dir))
	}
	return dir, nil
}

// runAs has a program run as somebody.
func runAs(cmd *exec.Cmd, as owner) { cmd.SysProcAttr = &syscall.SysProcAttr{Credential: as} }

// kill ends a process that is no child of ours.
func kill(pid int) {
	_ = syscall.Kill(pid, syscall.SIGKILL) // gone by itself, or of a session that went on
}
