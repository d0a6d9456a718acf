package loadtest

import (
	"cmp"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/url"
	"os"
	"slices"
	"strings"
	"sync"
	"syscall"

	"github.com/gorilla/websocket"
)

// A Fault is something that went wrong, and how often.
type Fault struct {
	Kind  string `json:"kind"`
	Count int64  `json:"count"`
}

// maxKinds bounds the kinds that are told apart: what a server says is part of one.
const (
	maxKinds = 40
	maxKind  = 160 // bytes
)

// bounded cuts a text of a server's to what a kind may have, between two characters.
func bounded(text string) string {
	if len(text) > maxKind {
		text = text[:maxKind]
	}
	return strings.ToValidUTF8(text, "")
}

// faults count what goes wrong by its kind. They are for all goroutines.
type faults struct {
	mu   sync.Mutex // guards what follows
	kind map[string]int64
}

// add counts something that went wrong at a step such as "connect".
func (f *faults) add(step string, err error) { f.addN(step+": "+why(err), 1) }

func (f *faults) addN(kind string, n int64) {
	if n == 0 {
		return
	}
	kind = bounded(kind)
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.kind == nil {
		f.kind = make(map[string]int64)
	}
	if _, known := f.kind[kind]; !known && len(f.kind) >= maxKinds {
		kind = "others"
	}
	f.kind[kind] += n
}

// list is what there is, the most frequent first.
func (f *faults) list() []Fault {
	f.mu.Lock()
	defer f.mu.Unlock()
	list := make([]Fault, 0, len(f.kind))
	for kind, n := range f.kind {
		list = append(list, Fault{kind, n})
	}
	slices.SortFunc(list, func(a, b Fault) int {
		return cmp.Or(cmp.Compare(b.Count, a.Count), strings.Compare(a.Kind, b.Kind))
	})
	return list
}

// An answerError is an answer that says no.
type answerError struct {
	status int
	text   string // what it says, or nothing
}

func (e *answerError) Error() string {
	if e.text == "" {
		return fmt.Sprintf("answered %d", e.status)
	}
	return fmt.Sprintf("answered %d, %s", e.status, e.text)
}

// A saidError is what a server says in its protocol when it does not want a client.
type saidError struct{ text string }

func says(format string, args ...any) *saidError {
	return &saidError{bounded(fmt.Sprintf(format, args...))}
}

func (e *saidError) Error() string { return e.text }

// errSilent tells that a client was not in its room in time.
var errSilent = errors.New("no answer in time")

// why is what kind of error it is: without addresses, ports and whatever else differs from
// one to the next, and without what is in the query of an address, such as a signature.
func why(err error) string {
	var asking *url.Error
	if errors.As(err, &asking) {
		err = asking.Err
	}
	var closed *websocket.CloseError
	var timeout net.Error
	var number syscall.Errno
	var name *net.DNSError
	var certificate *tls.CertificateVerificationError
	var record tls.RecordHeaderError
	switch {
	case errors.As(err, &closed):
		return strings.TrimSuffix(fmt.Sprintf("closed by the server with code %d, %s", closed.Code, closed.Text), ", ")
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return "the server closed the connection"
	case errors.As(err, &certificate):
		return "TLS: " + reason(certificate)
	case errors.As(err, &record):
		return "TLS: the server does not speak it"
	case errors.As(err, &name):
		return "the name is not known"
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, os.ErrDeadlineExceeded), errors.As(err, &timeout) && timeout.Timeout():
		return errSilent.Error()
	case errors.Is(err, context.Canceled):
		return "interrupted"
	case errors.Is(err, syscall.EADDRNOTAVAIL):
		return "this machine has no port left"
	case errors.Is(err, syscall.EMFILE), errors.Is(err, syscall.ENFILE):
		return "this process has no open file left"
	case errors.As(err, &number):
		return number.Error()
	}
	return err.Error()
}

// reason is why a certificate is not believed, without its names.
func reason(err *tls.CertificateVerificationError) string {
	var unknown x509.UnknownAuthorityError
	var host x509.HostnameError
	var invalid x509.CertificateInvalidError
	switch {
	case errors.As(err, &unknown):
		return "the certificate is of an unknown authority"
	case errors.As(err, &host):
		return "the certificate is for another name"
	case errors.As(err, &invalid) && invalid.Reason == x509.Expired:
		return "the certificate has expired, or is not valid yet"
	}
	return "the certificate is not valid"
}
