package doctor

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"
)

// toConnect is the time in which a connection must be there.
const toConnect = 4 * time.Second

// reach finds an address that answers, and those that do not.
func (x *exam) reach(ctx context.Context) bool {
	x.progress("addresses")
	list, err := x.addresses(ctx)
	if err != nil || len(list) == 0 {
		x.report.Unreachable = true
		x.fault("name-unknown", fmt.Sprintf("%s has no address: %s", x.host, lastWord(err)))
		return false
	}
	port, _ := strconv.Atoi(x.port)
	tries := make([]try, len(list))
	var all sync.WaitGroup
	for i, a := range list {
		all.Go(func() { tries[i] = x.try(ctx, netip.AddrPortFrom(a, uint16(port))) }) // ends in toConnect
	}
	all.Wait()
	var silent []string
	for _, t := range tries {
		switch {
		case t.nowhere:
			x.skip(t.to.Addr().String(), "this machine has no way to that kind of address")
		case t.err != nil:
			silent = append(silent, t.to.Addr().String()+" ("+lastWord(t.err)+")")
		case !x.to.IsValid():
			x.to, x.connect = t.to, t.took
		}
	}
	if !x.to.IsValid() {
		x.report.Unreachable = true
		seen := "none of its addresses can be reached from here"
		if len(silent) > 0 {
			seen = "nothing answers at " + strings.Join(silent, ", ")
		}
		x.fault("unreachable", fmt.Sprintf("%s port %s: %s", x.host, x.port, seen))
		return false
	}
	if len(silent) > 0 {
		x.fault("address-silent", fmt.Sprintf("%s answers, and of the other addresses of %s these do not: %s", x.to.Addr(), x.host, strings.Join(silent, ", ")))
		return true
	}
	x.good(fmt.Sprintf("addresses: %d of %d answer", len(list), len(list)))
	return true
}

func (x *exam) addresses(ctx context.Context) ([]netip.Addr, error) {
	if a, err := netip.ParseAddr(x.host); err == nil {
		return []netip.Addr{a}, nil
	}
	ctx, cancel := context.WithTimeout(ctx, oneStep)
	defer cancel()
	look := x.Resolve
	if look == nil {
		look = func(ctx context.Context, host string) ([]netip.Addr, error) {
			return net.DefaultResolver.LookupNetIP(ctx, "ip", host)
		}
	}
	list, err := look(ctx, x.host)
	const bound = 16 // a name with more has them for other reasons
	for i := range list {
		list[i] = list[i].Unmap()
	}
	return list[:min(len(list), bound)], err
}

// A try is one connection to one address.
type try struct {
	to      netip.AddrPort
	took    time.Duration
	err     error
	nowhere bool // this machine cannot reach that kind of address at all
}

func (x *exam) try(ctx context.Context, to netip.AddrPort) try {
	began := time.Now()
	c, err := x.dialTo(ctx, to)
	t := try{to: to, took: time.Since(began), err: err}
	if err == nil {
		_ = c.Close()
	}
	// Without a route there is nothing to be said of the other end; with another family
	// than that of the source there can be none.
	t.nowhere = errors.Is(err, syscall.ENETUNREACH) || errors.Is(err, syscall.EADDRNOTAVAIL) || errors.Is(err, syscall.EAFNOSUPPORT) ||
		err != nil && x.Source.IsValid() && x.Source.Is4() != to.Addr().Is4()
	return t
}

func (x *exam) dialTo(ctx context.Context, to netip.AddrPort) (net.Conn, error) {
	d := net.Dialer{Timeout: toConnect}
	if x.Source.IsValid() {
		d.LocalAddr = net.TCPAddrFromAddrPort(netip.AddrPortFrom(x.Source, 0))
	}
	return d.DialContext(ctx, "tcp", to.String())
}

// dial connects to the address that answers, whatever name is asked for.
func (x *exam) dial(ctx context.Context, _, _ string) (net.Conn, error) {
	began := time.Now()
	c, err := x.dialTo(ctx, x.to)
	if took := time.Since(began); err == nil {
		x.mu.Lock()
		defer x.mu.Unlock()
		x.connect = min(x.connect, took)
	}
	return c, err
}

// lastWord is what the system says, without what was tried.
func lastWord(err error) string {
	var call syscall.Errno
	var name *net.DNSError
	switch {
	case err == nil:
		return "there is none"
	case errors.As(err, &name):
		return name.Err
	case errors.As(err, &call):
		return call.Error()
	case isTimeout(err):
		return "no answer in time"
	}
	return bounded(err.Error(), maxSeen)
}

func isTimeout(err error) bool {
	var slow net.Error
	return errors.Is(err, context.DeadlineExceeded) || errors.As(err, &slow) && slow.Timeout()
}
