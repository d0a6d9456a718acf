//go:build linux

package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"sync"
	"sync/atomic"
	"time"
)

const (
	// dashboards is how many pages of an operator are open.
	dashboards = 5
	// scrapeEvery is how often Prometheus asks.
	scrapeEvery = time.Second
)

// Operators are who look at poosh while it works: a collector that scrapes once a second,
// and open dashboards, each of which has the stream of numbers and that of sends.
type operators struct {
	base    string
	cancel  context.CancelFunc
	looking sync.WaitGroup
	scrapes atomic.Int64
	heard   atomic.Int64 // lines of streams

	mu   sync.Mutex // guards errs
	errs []error
}

// operate begins to look at a server, and returns when every stream is open.
func operate(addr string) (*operators, error) {
	ctx, cancel := context.WithCancel(context.Background())
	o := &operators{base: "http://" + addr, cancel: cancel}
	for range dashboards {
		for _, path := range []string{"/api/tail", "/api/stream"} {
			resp, err := o.get(ctx, path)
			if err != nil {
				cancel()
				o.looking.Wait()
				return nil, err
			}
			o.looking.Go(func() { o.listen(ctx, path, resp) }) // ends with ctx
		}
	}
	o.looking.Go(func() { o.scrape(ctx) }) // ends with ctx
	return o, nil
}

func (o *operators) get(ctx context.Context, path string) (*http.Response, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, o.base+path, nil)
	if err != nil {
		return nil, err
	}
	resp, err := http.DefaultClient.Do(req)
	if err == nil && resp.StatusCode != http.StatusOK {
		_ = resp.Body.Close()
		err = fmt.Errorf("%s: %s", path, resp.Status)
	}
	return resp, err
}

// listen reads a stream as a page does.
func (o *operators) listen(ctx context.Context, path string, resp *http.Response) {
	defer resp.Body.Close()
	lines := bufio.NewScanner(resp.Body)
	lines.Buffer(nil, 4<<20)
	for lines.Scan() {
		o.heard.Add(1)
	}
	if ctx.Err() == nil {
		o.failed(fmt.Errorf("%s ended: %w", path, errors.Join(lines.Err(), io.ErrUnexpectedEOF)))
	}
}

func (o *operators) scrape(ctx context.Context) {
	every := time.NewTicker(scrapeEvery)
	defer every.Stop()
	for {
		resp, err := o.get(ctx, "/metrics")
		if err == nil {
			_, err = io.Copy(io.Discard, resp.Body)
			_ = resp.Body.Close()
		}
		if err == nil {
			o.scrapes.Add(1)
		} else if ctx.Err() == nil {
			o.failed(err)
		}
		select {
		case <-ctx.Done():
			return
		case <-every.C:
		}
	}
}

func (o *operators) failed(err error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.errs = append(o.errs, err)
}

// stop ends the looking, and returns what went wrong with it: that nobody saw anything, too.
func (o *operators) stop() error {
	o.cancel()
	o.looking.Wait()
	http.DefaultClient.CloseIdleConnections()
	if o.scrapes.Load() == 0 {
		o.failed(errors.New("operators: nothing was scraped"))
	}
	if o.heard.Load() == 0 {
		o.failed(errors.New("operators: nothing was heard"))
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	return errors.Join(o.errs...)
}
