package commandline

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"strconv"
	"time"

	"github.com/urfave/cli/v3"
)

// mostProfiled is what a server profiles itself for at the most.
const mostProfiled = 30

func (l *line) bundleCommand() *cli.Command {
	return &cli.Command{
		Name: "bundle", Usage: "fetch an archive for an incident",
		Description: `Asks the operators' port for an archive of what there is to know when something goes
wrong: profiles, numbers of the last quarter of an hour, settings, reasons. No secret and
no payload is in it. It is written with nobody else to read it.

Exit codes: 0 written, 1 failed, 2 misused, 3 refused, 4 no answer.`,
		Flags: []cli.Flag{
			&cli.StringFlag{Name: "output", Aliases: []string{"o"}, Usage: "the `FILE` to write, which must not be there; - is standard output"},
			&cli.IntFlag{Name: "seconds", Usage: "how long the processor is profiled", Value: 5},
			urlFlag("ADMIN_PORT", "http://127.0.0.1:9000"), jsonFlag(),
		},
		Action: untilSignal(l.bundle),
	}
}

func (l *line) bundle(ctx context.Context, c *cli.Command) error {
	if err := l.arguments(c, 0, 0); err != nil {
		return err
	}
	seconds := c.Int("seconds")
	if seconds < 1 || seconds > mostProfiled {
		return l.misused(c, "--seconds is %d: want 1 to %d", seconds, mostProfiled)
	}
	file := c.String("output")
	if file == "" {
		file = "poosh-bundle-" + time.Now().UTC().Format("20060102T150405Z") + ".tar.gz"
	}
	if file == "-" && isTerminal(l.Stdout) {
		return l.misused(c, "an archive is nothing for a terminal: want a file")
	}
	if file == "-" && c.Bool("json") {
		return l.misused(c, "--json is for the name of a file: standard output has the archive")
	}
	o, err := l.operator(c)
	if err != nil {
		return err
	}
	if file == "-" {
		_, err := o.bundle(ctx, seconds, l.Stdout)
		return err
	}
	// Nobody else may read it. That it cannot be written is known before anybody is asked,
	// and of an archive that does not come whole nothing is left.
	f, err := os.OpenFile(file, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return l.fail(Failed, "%v", err)
	}
	n, err := o.bundle(ctx, seconds, f)
	if closing := f.Close(); err == nil && closing != nil {
		err = l.fail(Failed, "%v", closing)
	}
	if err != nil {
		if left := os.Remove(file); left != nil {
			l.complain("%v", left)
		}
		return err
	}
	if c.Bool("json") {
		return l.json(struct {
			File  string `json:"file"`
			Bytes int64  `json:"bytes"`
		}{file, n})
	}
	return l.print(fmt.Sprintf("%s, %d bytes", printable(file), n))
}

// bundle asks for an archive and writes it to w. What is wrong it says itself.
func (o *operator) bundle(ctx context.Context, seconds int, w io.Writer) (int64, error) {
	l := o.line
	ctx, cancel := context.WithTimeout(ctx, time.Duration(seconds)*time.Second+time.Minute)
	defer cancel()
	req, err := o.request(ctx, http.MethodPost, "/api/bundle", url.Values{"seconds": {strconv.Itoa(seconds)}})
	if err != nil {
		return 0, err
	}
	o.client.Transport.(*http.Transport).ResponseHeaderTimeout = 0 // it takes its time; ctx bounds that
	stop := progressOn(l.Stderr).tick(ctx, func(since time.Duration) string {
		return fmt.Sprintf("the server looks at itself for %d s: %d s", seconds, int(since.Seconds()))
	})
	defer stop()
	res, err := o.client.Do(req)
	if err != nil {
		stop()
		return 0, l.fail(unreachable, "%v", noAnswer(req.URL, err))
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusOK {
		answer, _ := io.ReadAll(io.LimitReader(res.Body, 1<<16)) // what there is of it
		stop()
		return 0, o.refused(res.StatusCode, answer)
	}
	n, err := io.Copy(w, res.Body)
	if err != nil {
		stop()
		return 0, l.fail(Failed, "%v", err)
	}
	return n, nil
}
