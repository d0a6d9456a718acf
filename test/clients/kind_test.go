package clients_test

import (
	"os"
	"os/exec"
	"path/filepath"
)

// A kind is a client of some language and version.
type kind struct {
	name    string
	command []string // starts its driver
	needs   []string // files that must be there
}

// The clients, by the names of their packages.
var (
	socketIOClient  = python("socketio_client", "socketio_client.py")
	pythonSocketIO4 = python("python_socketio_4", "python_socketio.py")
	pythonSocketIO5 = python("python_socketio_5", "python_socketio.py")
	pysher          = python("pysher", "pysher_client.py")
	nkzawa          = java("nkzawa-0.6.0", "Nkzawa")
	java1           = java("socket.io-1.0.0", "SocketIO")
	java2           = java("socket.io-2.1.1", "SocketIO")
	pusherJava      = java("pusher-2.4.4", "PusherClient")
	rust            = kind{
		name:    "rust_socketio",
		command: []string{filepath.Join(cache, "rust", "debug", "client")},
		needs:   []string{filepath.Join(cache, "rust", "debug", "client")},
	}
)

// python is a client in a virtual environment of its own.
func python(name, script string) kind {
	venv := filepath.Join(cache, "python", name)
	return kind{
		name:    name,
		command: []string{filepath.Join(venv, "bin", "python"), filepath.Join("python", script)},
		needs:   []string{filepath.Join(venv, "bin", "python"), filepath.Join(venv, "installed")},
	}
}

// java is a client with its jars.
func java(name, class string) kind {
	dir := filepath.Join(cache, "java", name)
	return kind{
		name: name,
		command: []string{"java", "-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC", "-Xmx128m",
			"-cp", filepath.Join(dir, "classes") + ":" + filepath.Join(dir, "lib", "*"), class},
		needs: []string{filepath.Join(dir, "installed"), filepath.Join(dir, "classes", class+".class")},
	}
}

// missing says what the driver lacks; empty for nothing.
func (k kind) missing() string {
	if _, err := exec.LookPath(k.command[0]); err != nil {
		return k.command[0]
	}
	for _, file := range k.needs {
		if _, err := os.Stat(file); err != nil {
			return file
		}
	}
	return ""
}
