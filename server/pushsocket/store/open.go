package store

import (
	"context"
	"errors"
	"net/url"
	"strings"
)

// Open opens a store: in PostgreSQL for what [IsPostgres], and else in the SQLite file at
// a path. It makes what is not there yet and brings the schema to this version's. The
// error wraps [ErrOpen] and says where, without a password. A database that does not
// answer is an error after some seconds.
func Open(where string, limits Limits) (Store, error) {
	if IsPostgres(where) {
		return openPostgres(where, limits)
	}
	return openSQLite(where, limits)
}

// IsPostgres reports whether a store is in PostgreSQL, which several processes may share,
// and not in a file: whether where is a URI such as postgres://USER:PASSWORD@HOST/DATABASE.
func IsPostgres(where string) bool {
	scheme, _, ok := strings.Cut(where, "://")
	return ok && (strings.EqualFold(scheme, "postgres") || strings.EqualFold(scheme, "postgresql"))
}

// Shown is where a store is, for people: without a password. A path is shown as it is.
func Shown(where string) string {
	if !IsPostgres(where) {
		return where
	}
	u, err := url.Parse(where)
	if err != nil || u.Opaque != "" || ambiguous(where) {
		return unreadable
	}
	shown := &url.URL{Scheme: "postgres", Host: u.Host, Path: u.Path}
	if name := u.User.Username(); name != "" {
		shown.User = url.User(name)
	}
	// What stands behind the question mark may be a password too.
	if u.RawQuery != "" {
		shown.RawQuery = "..."
	}
	return shown.String()
}

// ambiguous reports whether an @ stands behind the first /, ? or # of a URI. That may be the
// one that ends the password, which then has one of these unescaped: a parser takes what is
// before it for a host and a port, and the rest of the password for a database.
func ambiguous(where string) bool {
	_, rest, _ := strings.Cut(where, "://")
	i := strings.IndexAny(rest, "/?#")
	return i >= 0 && strings.Contains(rest[i:], "@")
}

// unreadable stands for an address that cannot be read, so that nobody knows which part
// of it is the password.
const unreadable = "postgres://..."

// Check says what is wrong with where a store is to be, as far as that can be told
// without looking there. No part of a URI is in the error.
func Check(where string) error {
	if !IsPostgres(where) {
		return nil
	}
	_, err := postgresConfig(where)
	return err
}

// Reach looks whether a store in PostgreSQL can be opened, until ctx ends, and changes
// nothing: whether it answers, lets us in, and has a schema that this version knows or may
// make. For a file it returns nil. The error is one line, and has no password in it.
func Reach(ctx context.Context, where string) error {
	if !IsPostgres(where) {
		return nil
	}
	return onOneLine(reachPostgres(ctx, where))
}

// A line is an error that stands on one: those of pgx have a line for each address that was
// tried.
type line struct{ error }

func (l line) Error() string { return strings.Join(strings.Fields(l.error.Error()), " ") }
func (l line) Unwrap() error { return l.error }

func onOneLine(err error) error {
	if err == nil {
		return nil
	}
	return line{err}
}

var errAddress = errors.New("want postgres://USER:PASSWORD@HOST:5432/DATABASE, with what pgx knows behind a ?, such as sslmode=verify-full; in a password write %25 for %, %2F for /, %3A for :, %40 for @, %23 for # and %3F for ?, and %40 for every @ behind the host")
