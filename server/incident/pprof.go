package incident

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"runtime/pprof"
	"runtime/trace"
	"strings"
	"time"

	"poosh/server/admin"
	"poosh/server/respond"
)

// ProfilesPath is below which profiles are, where tools look for them.
const ProfilesPath = "/debug/pprof/"

// ServeProfiles answers as net/http/pprof does, below [ProfilesPath]: a profile by its
// name, profile for the processor's and trace for an execution trace. That package itself
// is not used: whoever imports it has its handlers on http.DefaultServeMux, and one of
// them tells the command line.
func (r *Recorder) ServeProfiles(w http.ResponseWriter, req *http.Request) {
	switch name := strings.TrimPrefix(req.URL.Path, ProfilesPath); name {
	case "":
		var list bytes.Buffer
		for _, p := range pprof.Profiles() {
			fmt.Fprintf(&list, "%s\t%d\n", p.Name(), p.Count())
		}
		list.WriteString("profile\ntrace\n")
		respond.Text(w, http.StatusOK, list.String())
	case "profile":
		r.timed(w, req, 10, cpu)
	case "trace":
		r.timed(w, req, 1, execution)
	default:
		p := pprof.Lookup(name)
		if p == nil {
			respond.Go.Error(w, http.StatusNotFound, "there is no such profile")
			return
		}
		_ = admin.Extend(w, writing)
		debug := 0
		w.Header().Set("Content-Type", "application/octet-stream")
		if req.URL.Query().Get("debug") == "1" {
			debug = 1
			w.Header().Set("Content-Type", "text/plain; charset=utf-8")
		}
		_ = p.WriteTo(w, debug) // who is gone needs none
	}
}

// timed answers with what is recorded for as long as the request says.
func (r *Recorder) timed(w http.ResponseWriter, req *http.Request, usual int, record func(context.Context, time.Duration) ([]byte, error)) {
	long, ok := profileTime(w, req, usual)
	if !ok {
		return
	}
	if !r.profiling.TryLock() {
		respond.Go.Error(w, http.StatusConflict, errBusy)
		return
	}
	defer r.profiling.Unlock()
	_ = admin.Extend(w, long+writing)
	body, err := record(req.Context(), long)
	if err != nil {
		respond.Go.Error(w, http.StatusConflict, err.Error())
		return
	}
	w.Header().Set("Content-Type", "application/octet-stream")
	_, _ = w.Write(body)
}

// execution traces the scheduler for so long, or until ctx ends.
func execution(ctx context.Context, long time.Duration) ([]byte, error) {
	var b bytes.Buffer
	if err := trace.Start(&b); err != nil {
		return nil, err
	}
	wait(ctx, long)
	trace.Stop()
	return b.Bytes(), ctx.Err()
}
