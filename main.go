// Poosh takes events over HTTP and pushes them to socket.io clients. README.md
// says how to run it.
package main

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"runtime"
	"runtime/debug"
	"slices"
	"strings"
	"syscall"
	"time"

	"poosh/server"
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

// run does what the arguments ask for and returns the exit code.
func run(args []string, stdout, stderr io.Writer) int {
	if len(args) == 0 {
		return serve(stderr)
	}
	for _, c := range server.Commands() {
		if n := len(c.Words); len(args) >= n && slices.Equal(args[:n], c.Words) {
			return c.Run(args[n:], stdout, stderr)
		}
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

// lastLines is how long the end waits for whoever reads the log.
const lastLines = time.Second

// serve runs the server until SIGTERM or SIGINT and until everything accepted has
// left. A second signal ends the process at once.
func serve(stderr io.Writer) int {
	limit := server.TuneRuntime()
	signal.Ignore(syscall.SIGPIPE) // whoever read the log may be gone: that ends nobody else
	hangups := make(chan os.Signal, 1)
	signal.Notify(hangups, syscall.SIGHUP)
	cfg, err := settings()
	if err != nil {
		return fail(stderr, err)
	}
	lines := server.NewLogWriter(stderr, cfg.LogFormat, 0)
	code := exitOK
	if err := listen(cfg, server.NewLogger(lines, cfg.LogLevel, cfg.LogFormat), limit, hangups); err != nil {
		code = fail(lines, err)
	}
	_ = lines.Close(lastLines) // there is nobody else to tell
	return code
}

// settings reads them from the environment and from .env.
func settings() (*server.Config, error) {
	lookup, err := server.WithDotEnv(".env", os.LookupEnv)
	if err != nil {
		return nil, err
	}
	return server.FromEnv(lookup, server.Names(".env", os.Environ())...)
}

// listen serves until a signal asks for the end. limit is what the memory was limited
// to, or 0.
func listen(cfg *server.Config, log *slog.Logger, limit int64, hangups chan os.Signal) error {
	s, err := server.New(cfg, log)
	if err != nil {
		return err
	}
	if limit > 0 {
		log.Info("memory limit", "bytes", limit)
	}
	for _, warning := range cfg.Warnings() {
		log.Warn("settings", "warning", warning)
	}
	go func() { // ends with the process
		for range hangups {
			log.Warn("SIGHUP does nothing: restart to read the settings again")
		}
	}()
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, os.Interrupt)
	context.AfterFunc(ctx, stop) // from then on a signal does what it does by default
	return s.Run(ctx)
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
`)
	for _, c := range server.Commands() {
		fmt.Fprintf(w, "  poosh %s %s\n                    %s\n", strings.Join(c.Words, " "), c.Arguments, c.Help)
	}
	fmt.Fprint(w, `  poosh --version   print the version
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
