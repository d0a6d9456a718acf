// Poosh takes events over HTTP and pushes them to socket.io clients. README.md
// says how to run it.
package main

import (
	"context"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"runtime"
	"runtime/debug"
	"syscall"
	"time"

	"poosh/server"
	"poosh/server/commandline"
)

// Version is the release this is built from. A build of one sets it with
// -ldflags "-X main.Version=v1.2.3"; otherwise the build's own information tells.
var Version string

func main() {
	os.Exit(commandline.Run(os.Args[1:], commandline.Program{
		Version: version(), Serve: serve,
		Stdin: os.Stdin, Stdout: os.Stdout, Stderr: os.Stderr,
	}))
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
	cfg, err := server.Load()
	if err != nil {
		return commandline.Complain(stderr, err)
	}
	cfg.Version = Version
	lines := server.NewLogWriter(stderr, cfg.LogFormat, 0)
	code := commandline.OK
	if err := listen(cfg, server.NewLogger(lines, cfg.Level(), cfg.LogFormat), limit, hangups); err != nil {
		code = commandline.Complain(lines, err)
	}
	_ = lines.Close(lastLines) // there is nobody else to tell
	return code
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
			s.Reread()
		}
	}()
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, os.Interrupt)
	context.AfterFunc(ctx, stop) // from then on a signal does what it does by default
	return s.Run(ctx)
}

// version is what the program is: the release, and the commit it was built from if that
// is known.
func version() commandline.Version {
	v := commandline.Version{Version: Version, Go: runtime.Version(), OS: runtime.GOOS, Arch: runtime.GOARCH}
	if info, ok := debug.ReadBuildInfo(); ok {
		if v.Version == "" {
			v.Version = info.Main.Version
		}
		for _, s := range info.Settings {
			switch s.Key {
			case "vcs.revision":
				v.Commit = s.Value
			case "vcs.modified":
				v.Changed = s.Value == "true"
			}
		}
	}
	if v.Version == "" {
		v.Version = "(unknown version)"
	}
	return v
}
