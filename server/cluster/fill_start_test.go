package cluster

import (
	"errors"
	"os"
	"regexp"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"poosh/server/cluster/redistest"
	"poosh/server/hub"
)

// A listener is a connection in a room, and what it got.
type listener struct {
	mu  sync.Mutex // guards what follows
	got []string
}

func (l *listener) Deliver(frame []byte) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.got = append(l.got, string(frame))
	return true
}

func (l *listener) all() []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Clone(l.got)
}

// listen seats one.
func (n *library) listen(room string) *listener {
	n.t.Helper()
	l := new(listener)
	if err := n.hub.Join(n.hub.Register(app, "listener", 1, plain{}, l), room); err != nil {
		n.t.Fatal(err)
	}
	return l
}

// A log is filled once, when the node starts: not again when a link ends before where it began is handled, which would put
// what is kept in the place of what comes, and keep that from who listens.
func TestLogIsFilledOnce(t *testing.T) {
	t.Parallel()
	cfg := config(t, at(redistest.Start(t).Addr))
	a := openLibrary(t, cfg, much)
	begin := a.head()
	a.mustSend("r", "1")
	var fills atomic.Int64
	b := openLibrary(t, cfg, much, func(o *Options) {
		fill := o.Fill
		o.Fill = func(app string, behind hub.Position) Filling {
			fills.Add(1)
			return fill(app, behind)
		}
	})
	heard := b.listen("r")
	before := fills.Load()
	p := b.partition(app, "", true)
	again := func() {
		l := p.current()
		l.fail(errors.New("cut"))
		until(t, "there is another link", func() bool { now := p.current(); return now != nil && now != l })
	}
	a.mustSend("r", "2")
	until(t, "it hears", func() bool { return len(heard.all()) == 1 })
	for i := 3; i <= 30; i++ { // at any moment of it
		ended := make(chan struct{})
		go func() { defer close(ended); again() }()
		a.mustSend("r", strconv.Itoa(i))
		<-ended
	}
	b.has("r", begin, numbered(1, 30))
	until(t, "all is heard", func() bool { return len(heard.all()) >= 29 })
	if got := heard.all(); !slices.Equal(got, numbered(1, 30)[1:]) {
		t.Errorf("who listens got %v", got)
	}
	p.place.Lock()
	p.at = hub.Position{} // as it is before it is handled
	p.place.Unlock()
	again()
	if n := fills.Load() - before; n != 0 {
		t.Errorf("it was filled %d times more", n)
	}
}

// Whoever starts nodes and ends one that is not ready in time has to give it more than it takes when the engine is slow: what
// is kept, and up to 22 commands.
func TestStartIsLongEnough(t *testing.T) {
	t.Parallel()
	takes := fillTime + 22*2*time.Second // the default of CLUSTER_TIMEOUT
	number := func(file, pattern string) time.Duration {
		text, err := os.ReadFile("../../" + file)
		if err != nil {
			t.Fatal(err)
		}
		found := regexp.MustCompile(pattern).FindSubmatch(text)
		if found == nil {
			t.Fatalf("%s has no %s", file, pattern)
		}
		n, _ := strconv.Atoi(string(found[1]))
		return time.Duration(n) * time.Second
	}
	const values, image = "packaging/helm/poosh/values.yaml", "Dockerfile"
	for who, gives := range map[string]time.Duration{
		"startupProbe": number(values, `startupProbe:\n  periodSeconds: 1\n  timeoutSeconds: \d+\n  failureThreshold: (\d+)`),
		"HEALTHCHECK":  number(image, `--start-period=(\d+)s`) + 3*number(image, `--interval=(\d+)s --timeout=4s --start-period=\d+s --retries=3`),
		"systemd":      number("packaging/linux/poosh.service", `\nTimeoutStartSec=(\d+)\n`),
	} {
		if gives < takes+5*time.Second {
			t.Errorf("%s gives %v, and it may take %v", who, gives, takes)
		}
	}
}
