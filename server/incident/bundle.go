package incident

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"net/http"
	"runtime/pprof"
	"strconv"
	"time"

	"poosh/server/admin"
	"poosh/server/respond"
)

// How long an archive profiles the processor.
const (
	usualSeconds = 5
	mostSeconds  = 30
)

// writing is how long an archive has to leave, beside what it profiles for.
const writing = time.Minute

var errBusy = "something else is being profiled, try again"

// ServeBundle answers with the archive, a tar.gz. The query may have seconds, how long
// the processor is profiled. One is made at a time: others are answered 409.
func (r *Recorder) ServeBundle(w http.ResponseWriter, req *http.Request) {
	long, ok := profileTime(w, req, usualSeconds)
	if !ok {
		return
	}
	if !r.profiling.TryLock() {
		respond.Go.Error(w, http.StatusConflict, errBusy)
		return
	}
	defer r.profiling.Unlock()
	_ = admin.Extend(w, long+writing)
	now := time.Now().UTC()
	w.Header().Set("Content-Type", "application/gzip")
	w.Header().Set("Content-Disposition", now.Format(`attachment; filename="poosh-20060102T150405Z.tar.gz"`))
	packed, _ := gzip.NewWriterLevel(w, gzip.BestSpeed) // the server may be in need of its processors
	a := &archive{tar: tar.NewWriter(packed), now: now, dir: now.Format("poosh-20060102T150405Z/")}
	err := r.fill(req.Context(), a, long)
	if err = errors.Join(err, a.tar.Close(), packed.Close()); err != nil {
		r.cfg.Log.Warn("the archive of an incident did not leave whole", "remote", req.RemoteAddr, "err", err)
		panic(http.ErrAbortHandler) // so that it is not taken for a whole one
	}
	r.cfg.Log.Info("the archive of an incident was handed over", "remote", req.RemoteAddr)
}

// fill writes the files, the past before anything that takes time.
func (r *Recorder) fill(ctx context.Context, a *archive, long time.Duration) error {
	files := []Section{
		{"trace.out", r.past},
		{"goroutines.txt", profile("goroutine", 1)},
		{"goroutines.pprof", profile("goroutine", 0)},
		{"heap.pprof", profile("heap", 0)},
	}
	files = append(files, r.cfg.Sections...)
	files = append(files, Section{"cpu.pprof", func() ([]byte, error) { return cpu(ctx, long) }})
	for _, f := range files {
		text, err := f.Text()
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if err != nil { // the others are of use all the same
			a.missing = append(a.missing, f.Name+": "+err.Error()+"\n"...)
			continue
		}
		if err := a.add(f.Name, text); err != nil {
			return err
		}
	}
	if len(a.missing) > 0 {
		return a.add("missing.txt", a.missing)
	}
	return nil
}

// An archive is one that is being written.
type archive struct {
	tar     *tar.Writer
	now     time.Time
	dir     string
	missing []byte // what is not in it, a line each with the reason
}

func (a *archive) add(name string, text []byte) error {
	err := a.tar.WriteHeader(&tar.Header{Name: a.dir + name, Mode: 0o600, Size: int64(len(text)), ModTime: a.now, Format: tar.FormatPAX})
	if err != nil {
		return err
	}
	_, err = a.tar.Write(text)
	return err
}

// past is what the flight recorder has.
func (r *Recorder) past() ([]byte, error) {
	if r.flight == nil {
		return nil, errors.New("the flight recorder could not be started")
	}
	var b bytes.Buffer
	_, err := r.flight.WriteTo(&b)
	return b.Bytes(), err
}

// profile returns what makes one of the runtime's profiles. debug is 0 for the form that
// go tool pprof reads, 1 for one that people read.
func profile(name string, debug int) func() ([]byte, error) {
	return func() ([]byte, error) {
		var b bytes.Buffer
		err := pprof.Lookup(name).WriteTo(&b, debug)
		return b.Bytes(), err
	}
}

// cpu profiles the processor for so long, or until ctx ends.
func cpu(ctx context.Context, long time.Duration) ([]byte, error) {
	var b bytes.Buffer
	if err := pprof.StartCPUProfile(&b); err != nil {
		return nil, err
	}
	wait(ctx, long)
	pprof.StopCPUProfile()
	return b.Bytes(), ctx.Err()
}

// wait waits for so long, or until ctx ends.
func wait(ctx context.Context, long time.Duration) {
	select {
	case <-time.After(long):
	case <-ctx.Done():
	}
}

// profileTime reads how long to profile, or answers by itself.
func profileTime(w http.ResponseWriter, r *http.Request, usual int) (time.Duration, bool) {
	seconds := usual
	if text := r.URL.Query().Get("seconds"); text != "" {
		n, err := strconv.ParseUint(text, 10, 31)
		if err != nil || n < 1 || n > mostSeconds {
			respond.Go.Error(w, http.StatusBadRequest, fmt.Sprintf("seconds: want a whole number from 1 to %d", mostSeconds))
			return 0, false
		}
		seconds = int(n)
	}
	return time.Duration(seconds) * time.Second, true
}
