// Package echo drives the built server as applications of Laravel and pages with Laravel Echo
// do, with BROADCAST_CONNECTION=redis and broadcaster socket.io: Laravel Echo 1 and 2 on clients
// of socket.io 1 to 4, phpredis and the framework that publish, applications that say who may
// join and ones that say it badly, a real Redis, and three nodes of which one is killed.
package echo

import (
	"fmt"
	"os"
	"os/exec"
	"testing"

	"poosh/test/process"
)

// program is the server under test, built once with the race detector.
var program string

func TestMain(m *testing.M) {
	if process.Listing() {
		os.Exit(m.Run())
	}
	if exec.Command("php", "-r", `exit(extension_loaded("redis") ? 0 : 1);`).Run() != nil {
		fmt.Fprintln(os.Stderr, "test/echo: there is no PHP with phpredis: apt-get install php-cli php-redis")
		os.Exit(1)
	}
	if _, err := os.Stat("/usr/share/php/Illuminate/Foundation/Application.php"); err != nil {
		fmt.Fprintln(os.Stderr, "test/echo: there is no Laravel: apt-get install php-laravel-framework")
		os.Exit(1)
	}
	os.Exit(process.Main(m, "echo", true, &program, "echo-1", "echo-2", "playwright-core", "sio-1.7.4", "sio-2.5.0", "sio-3.1.3", "sio-4.0.2", "sio-4.1.3", "sio-4.5.4", "sio-4.8.1"))
}
