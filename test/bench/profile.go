//go:build linux

package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// ask asks the build of poosh that can be profiled, see profiled.go at
// the root.
func (p *process) ask(path string) ([]byte, error) {
	client := http.Client{Timeout: 30 * time.Second}
	answer, err := client.Get("http://" + p.control.String() + path)
	if err != nil {
		return nil, fmt.Errorf("profile: %w", err)
	}
	defer answer.Body.Close()
	body, err := io.ReadAll(io.LimitReader(answer.Body, 64<<20))
	if err == nil && answer.StatusCode != http.StatusOK {
		err = fmt.Errorf("profile: %s: %s", answer.Status, body)
	}
	return body, err
}

func (p *process) startProfile() error {
	_, err := p.ask("/start")
	return err
}

// stopProfile writes the CPU profile to a file, and that of contended locks beside it.
func (p *process) stopProfile(file string) error {
	profile, err := p.ask("/stop")
	if err != nil {
		return err
	}
	locks, err := p.ask("/mutex")
	if err != nil {
		return err
	}
	name := strings.TrimSuffix(file, ".pprof") + "-mutex.pprof"
	return errors.Join(os.WriteFile(file, profile, 0o666), os.WriteFile(name, locks, 0o666))
}

// waited is how long goroutines of a Go process have waited for locks, all together.
func (p *process) waited() (time.Duration, error) {
	body, err := p.ask("/waited")
	if err != nil {
		return 0, err
	}
	var seconds float64
	_, err = fmt.Sscan(string(body), &seconds)
	return time.Duration(seconds * float64(time.Second)), err
}

// perf runs f while perf(1) samples the server, its time in the kernel included.
func (p *process) perf(file string, f func() error) error {
	record := exec.Command("perf", "record", "-q", "-e", "cpu-clock", "-F", "1999", "-g", "-o", file, "-p", strconv.Itoa(p.cmd.Process.Pid))
	record.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGINT}
	var output bytes.Buffer
	record.Stdout, record.Stderr = &output, &output
	if err := record.Start(); err != nil {
		return err
	}
	time.Sleep(perfStart)
	err := f()
	time.Sleep(perfStart)
	_ = record.Process.Signal(os.Interrupt)
	_ = record.Wait() // it reports the interrupt
	if _, e := os.Stat(file); e != nil {
		err = errors.Join(err, fmt.Errorf("perf: %s", output.Bytes()))
	}
	return err
}

// perfStart is how long perf takes to attach to all threads, at most.
const perfStart = 500 * time.Millisecond

// allocated is what a Go process has allocated since its start.
type allocated struct{ objects, bytes uint64 }

func (p *process) allocated() (allocated, error) {
	var a allocated
	body, err := p.ask("/allocated")
	if err == nil {
		_, err = fmt.Sscan(string(body), &a.objects, &a.bytes)
	}
	return a, err
}
