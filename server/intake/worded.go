package intake

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/redis/rueidis"
)

// Answers reports whether an error is what a Redis itself says, such as to a user without a right, and
// not that it was not reached.
func Answers(err error) bool {
	_, ok := errors.AsType[*rueidis.RedisError](err)
	return ok
}

// worded says what an operator is to do about what a Redis, or the way to it, answers, without secrets.
func worded(at Address, err error) error {
	err = at.Worded(err)
	say := func(what string) error { return fmt.Errorf("%s: %w", what, err) }
	text := err.Error()
	switch {
	case errors.Is(err, context.DeadlineExceeded):
		return say("does not answer in time")
	case strings.Contains(text, "NOPERM"):
		return say("lets nobody read there with this user: want the rights +psubscribe, +subscribe, +ping and the channels")
	case strings.Contains(text, "WRONGPASS"), strings.Contains(text, "NOAUTH"), strings.Contains(text, "invalid password"), strings.Contains(text, "without any password configured"):
		return say("does not let this process in: want its user and password in the URL")
	}
	return say("is not there")
}
