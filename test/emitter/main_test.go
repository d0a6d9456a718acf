// Package emitter drives the built server from outside as socket.io's emitters do, through a real
// Redis: those of npm from 0.2 to 5.1, of PyPI, of Go and Rust, and PHP in the form of
// rase/socket.io-emitter, for real clients of socket.io 1, 2 and 4 on both transports.
package emitter

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"poosh/test/process"
)

// program is the server under test, built once with the race detector.
var program string

// Where what emits is: the Python of the environment with the package socket.io-emitter, the program in
// goemitter, which is built here, and the one in rust, which test/run builds.
var (
	python      = filepath.Join("..", ".cache", "emitter-venv", "bin", "python")
	goEmitter   = filepath.Join("..", ".cache", "emitter-go", "goemitter")
	rustEmitter = filepath.Join("..", ".cache", "emitter-rust", "debug", "emit")
)

func TestMain(m *testing.M) {
	if process.Listing() {
		os.Exit(m.Run())
	}
	complain := func(what, install string) {
		fmt.Fprintf(os.Stderr, "test/emitter: %s: %s\n", what, install)
		os.Exit(1)
	}
	if err := exec.Command(python, "-c", "import socket_io_emitter, redis, msgpack").Run(); err != nil {
		complain("the package socket.io-emitter of Python is not installed",
			"python3 -m venv test/.cache/emitter-venv && test/.cache/emitter-venv/bin/pip install -r test/emitter/requirements.txt")
	}
	if err := exec.Command("php", "-r", `exit(extension_loaded("redis") && extension_loaded("msgpack") ? 0 : 1);`).Run(); err != nil {
		complain("PHP with redis and msgpack is not installed", "apt-get install php-cli php-redis php-msgpack")
	}
	if _, err := os.Stat(rustEmitter); err != nil {
		complain("the emitter in Rust is not built",
			"CARGO_TARGET_DIR=test/.cache/emitter-rust cargo build --locked --manifest-path test/emitter/rust/Cargo.toml")
	}
	build := exec.Command("go", "build", "-o", filepath.Join("..", goEmitter), ".")
	build.Dir = "goemitter"
	if out, err := build.CombinedOutput(); err != nil {
		complain("go build in goemitter", fmt.Sprintf("%v\n%s", err, out))
	}
	os.Exit(process.Main(m, "emitter", true, &program, "emitter-0", "emitter-1", "emitter-2", "emitter-3", "emitter-4", "emitter-5", "playwright-core",
		"redis", "redis-2", "sio-1.7.4", "sio-2.5.0", "sio-4.8.1"))
}
