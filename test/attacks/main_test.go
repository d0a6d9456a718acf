// Package attacks_test runs the built program where little is to be had, 512 MiB of
// memory or 300 open files, lets strangers at it, and looks at what becomes of those
// who do nothing wrong meanwhile.
//
// A stranger has what anybody on the internet has: addresses of its own (127.1.x.y
// here), the public key of the Pusher app, keys that it made up, and no secret. Those
// who do nothing wrong are in every dialect a sender and a client, who keep a ledger:
// what was acknowledged is received, all of it and in order; what was kept before is
// there after; a new client and a new sender find room while the strangers hold what
// they have. In the end all that the strangers took is given back.
package attacks_test

import (
	"fmt"
	"os"
	"testing"

	"poosh/test/process"
)

var program string

func TestMain(m *testing.M) {
	if eaten, ok := os.LookupEnv(eatVariable); ok {
		eat(eaten)
		return
	}
	if process.Listing() {
		os.Exit(m.Run())
	}
	if err := checkMemoryLimit(); err != nil {
		fmt.Fprintln(os.Stderr, "test/attacks:", err)
		os.Exit(1)
	}
	// As in the image: threads of C have stacks of 8 MiB, which the limit would count.
	if err := os.Setenv("CGO_ENABLED", "0"); err != nil {
		panic(err)
	}
	end, err := startRedis()
	if err != nil {
		fmt.Fprintln(os.Stderr, "test/attacks:", err)
		os.Exit(1)
	}
	code := process.Main(m, "attacks", false, &program)
	end()
	os.Exit(code)
}
