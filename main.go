// Poosh takes events over HTTP and pushes them to socket.io clients. README.md
// says how to run it.
package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/signal"
	"runtime"
	"runtime/debug"
	"strings"
	"syscall"

	"poosh/server"
	"poosh/server/socktopus"
)

// Version is the release this is built from. A build of one sets it with
// -ldflags "-X main.Version=v1.2.3"; otherwise the build's own information tells.
var Version string

// The exit codes.
const (
	exitOK      = 0
	exitFailed  = 1 // a wrong setting, or a port that cannot be listened on
	exitMisused = 2 // arguments that are not understood
)

func main() { os.Exit(run(os.Args[1:], os.Stdout, os.Stderr)) }

// run does what the arguments ask for and returns the exit code. Sub-commands
// have their case here and a file of their own.
func run(args []string, stdout, stderr io.Writer) int {
	if len(args) == 0 {
		return serve(stderr)
	}
	if len(args) >= 2 && args[0] == "socktopus" && args[1] == "token" {
		return socktopus.TokenCommand(args[2:], stdout, stderr)
	}
	if len(args) == 1 {
		switch args[0] {
		case "--version", "-version":
			fmt.Fprintln(stdout, versionLine())
			return exitOK
		case "--help", "-help", "-h":
			printHelp(stdout)
			return exitOK
		}
	}
	fmt.Fprintf(stderr, "poosh: cannot understand %q: settings come from the environment, see poosh --help\n", strings.Join(args, " "))
	return exitMisused
}

// gcPercent lets the heap grow to three times what is in use before it is
// collected. Measured with test/bench: a send without listeners takes a tenth less
// CPU than at Go's own 100, and an idle connection stays below 10 KB.
const gcPercent = 200

// serve runs the server until SIGTERM or SIGINT and until everything accepted has
// left. A second signal ends the process at once.
func serve(stderr io.Writer) int {
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(gcPercent)
	}
	// Near the end of what there is memory is worth more than time.
	if n, ok := server.MemoryLimit(); ok && os.Getenv("GOMEMLIMIT") == "" {
		debug.SetMemoryLimit(n / 4 * 3)
	}
	lookup, err := server.WithDotEnv(".env", os.LookupEnv)
	if err != nil {
		return fail(stderr, err)
	}
	cfg, err := server.FromEnv(lookup, server.Names(".env", os.Environ())...)
	if err != nil {
		return fail(stderr, err)
	}
	s, err := server.New(cfg, server.NewLogger(stderr, cfg.LogLevel, cfg.LogFormat))
	if err != nil {
		return fail(stderr, err)
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, os.Interrupt)
	context.AfterFunc(ctx, stop) // from then on a signal does what it does by default
	if err := s.Run(ctx); err != nil {
		return fail(stderr, err)
	}
	return exitOK
}

// fail prints each line of err and returns the exit code that goes with it.
func fail(stderr io.Writer, err error) int {
	for line := range strings.Lines(err.Error()) {
		fmt.Fprintln(stderr, "poosh:", strings.TrimSuffix(line, "\n"))
	}
	return exitFailed
}

// versionLine names the release, the commit it was built from if that is known,
// and what it was built with and for.
func versionLine() string {
	version, commit := Version, ""
	if info, ok := debug.ReadBuildInfo(); ok {
		if version == "" {
			version = info.Main.Version
		}
		for _, s := range info.Settings {
			switch {
			case s.Key == "vcs.revision":
				commit = ", commit " + s.Value
			case s.Key == "vcs.modified" && s.Value == "true":
				commit += " with changes"
			}
		}
	}
	if version == "" {
		version = "(unknown version)"
	}
	return fmt.Sprintf("poosh %s (%s, %s/%s%s)", version, runtime.Version(), runtime.GOOS, runtime.GOARCH, commit)
}

// printHelp writes how to start the program and every setting it has.
func printHelp(w io.Writer) {
	fmt.Fprint(w, `poosh takes events over HTTP and pushes them to socket.io clients.

Usage:
  poosh             run until SIGTERM or SIGINT
  poosh socktopus token NAME SECRET CONNECTION
                    print a token that a Socktopus client may join with
  poosh --version   print the version
  poosh --help      print this

Settings come from the environment, or from a file named .env in the working
directory where a variable is unset or empty. Times: 90s, 1m30s or 90 (seconds).
Sizes: bytes, or with KB, MB, GB (1000) or KiB, MiB, GiB (1024).
`)
	group := ""
	for _, s := range server.Settings() {
		if s.Group != group {
			group = s.Group
			fmt.Fprintf(w, "\n%s:\n", group)
		}
		fmt.Fprintf(w, "  %s\n      %s", s.Name, s.Help)
		if s.Default != "" {
			fmt.Fprintf(w, " (default %s)", s.Default)
		}
		fmt.Fprintln(w)
	}
}
