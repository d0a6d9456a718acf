package passing

import (
	"bytes"
	"context"
	"errors"
	"net/url"
	"testing"
	"time"
)

// large is longer than a piece of a frame.
var large = bytes.Repeat([]byte("0123456789"), 300_000)

// answers is what nodes of tests are asked.
func answers(q *Question) {
	switch q.Path {
	case "/large":
		q.Answer(large)
	case "/wait":
		<-q.Context().Done()
		q.Answer(nil)
	default:
		q.Answer([]byte(q.From + " asks " + q.Path + " " + q.Query.Get("text")))
	}
}

// A question is answered, however long the answer is, or it is said why not.
func TestAsk(t *testing.T) {
	a, b := pair(t)
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	got, err := a.node.Ask(ctx, "nodeBB", "ASKED", "/x", url.Values{"text": {"a b&c"}})
	if err != nil || string(got) != "nodeAA asks /x a b&c" {
		t.Errorf("%q, %v", got, err)
	}
	if got, err := b.node.Ask(ctx, "nodeAA", "ASKED", "/large", nil); err != nil || !bytes.Equal(got, large) {
		t.Errorf("%d bytes, %v", len(got), err)
	}
	for _, row := range []struct {
		transport string
		want      float64
	}{{"question", 1}, {"polling", 0}} {
		if got := b.node.reading("cluster_passed_here_total", row.transport); float64(got) != row.want {
			t.Errorf("%v of %s, want %v", got, row.transport, row.want)
		}
	}
	for name, test := range map[string]struct {
		node, port string
		want       error
	}{
		"nobody": {"nodeCC", "ASKED", ErrNoNode}, "itself": {"nodeAA", "ASKED", ErrNoNode},
		"an older version": {"nodeBB", "OTHER", ErrUnknown},
	} {
		if got, err := a.node.Ask(ctx, test.node, test.port, "/x", nil); !errors.Is(err, test.want) {
			t.Errorf("%s: %q, %v, want %v", name, got, err, test.want)
		}
	}
}

// Who waits no more has the other node know, and a node that ends keeps nobody waiting.
func TestAskIsGivenUp(t *testing.T) {
	nodes := newTable()
	a := serve(t, "nodeAA", nodes)
	given := make(chan struct{}, 2)
	b := serve(t, "nodeBB", nodes)
	b.node.ports["ASKED"] = Port{} // nobody has asked yet
	b.node.Answer("ASKED", func(q *Question) {
		<-q.Context().Done()
		q.Answer(nil)
		given <- struct{}{}
	})
	ctx, cancel := context.WithTimeout(context.Background(), 50*time.Millisecond)
	defer cancel()
	if _, err := a.node.Ask(ctx, "nodeBB", "ASKED", "/x", nil); !errors.Is(err, context.DeadlineExceeded) {
		t.Error(err)
	}
	wait := func() {
		t.Helper()
		select {
		case <-given:
		case <-time.After(patience):
			t.Fatal("the other node does not know")
		}
	}
	wait()
	asked := make(chan error, 1)
	go func() { // ends with the other node
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		_, err := a.node.Ask(ctx, "nodeBB", "ASKED", "/x", nil)
		asked <- err
	}()
	for end := time.Now().Add(patience); !b.node.busy(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("it is not asked")
		}
	}
	over, end := context.WithCancel(context.Background())
	end()
	_ = b.node.Close(over)
	wait()
	if err := <-asked; err != nil && !errors.Is(err, ErrUnreachable) {
		t.Error(err)
	}
}

// As many questions at once as there are places, and one more is told to come again.
func TestAskTooMany(t *testing.T) {
	a, _ := pair(t)
	ctx, cancel := context.WithCancel(context.Background())
	asks := func() (n int) {
		for _, l := range a.node.links() {
			if out, ok := l.(*outLink); ok {
				n += out.waiting()
			}
		}
		return n
	}
	ended := make(chan error, maxQuestions)
	for range maxQuestions {
		go func() { // ends with ctx
			_, err := a.node.Ask(ctx, "nodeBB", "ASKED", "/wait", nil)
			ended <- err
		}()
	}
	for end := time.Now().Add(patience); asks() < maxQuestions; time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("not all ask")
		}
	}
	if _, err := a.node.Ask(ctx, "nodeBB", "ASKED", "/x", nil); !errors.Is(err, ErrBusy) {
		t.Error(err)
	}
	cancel()
	for range maxQuestions {
		if err := <-ended; !errors.Is(err, context.Canceled) {
			t.Error(err)
		}
	}
	for end := time.Now().Add(patience); ; time.Sleep(time.Millisecond) {
		_, err := a.node.Ask(context.Background(), "nodeBB", "ASKED", "/x", nil)
		if err == nil {
			break
		}
		if time.Now().After(end) {
			t.Fatal(err)
		}
	}
}

// Who never answers keeps nobody who ends.
func TestCloseLeavesWhatHangs(t *testing.T) {
	nodes := newTable()
	a, b := serve(t, "nodeAA", nodes), serve(t, "nodeBB", nodes)
	asked, release, left := make(chan struct{}), make(chan struct{}), make(chan struct{})
	b.node.ports["ASKED"] = Port{} // nobody has asked yet
	b.node.Answer("ASKED", func(q *Question) {
		close(asked)
		<-release
		q.Answer(nil)
		close(left)
	})
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	ended := make(chan struct{})
	go func() { // ends with the other node, or ctx
		_, _ = a.node.Ask(ctx, "nodeBB", "ASKED", "/x", nil)
		close(ended)
	}()
	<-asked
	over, end := context.WithCancel(context.Background())
	end()
	closed := make(chan struct{})
	go func() { // ends at once, or with what hangs
		_ = b.node.Close(over)
		close(closed)
	}()
	select {
	case <-closed:
	case <-time.After(patience):
		t.Error("it waits for what hangs")
	}
	close(release)
	<-left
	<-closed
	<-ended
}

// Who answers knows at once that the link is cut, before the question is given up.
func TestQuestionKnowsItsLink(t *testing.T) {
	nodes := newTable()
	a, b := serve(t, "nodeAA", nodes), serve(t, "nodeBB", nodes)
	asked, cut := make(chan struct{}), make(chan bool, 1)
	b.node.ports["ASKED"] = Port{} // nobody has asked yet
	b.node.Answer("ASKED", func(q *Question) {
		close(asked)
		select {
		case <-q.Link().Done():
			cut <- q.Context().Err() == nil
		case <-q.Context().Done():
			cut <- false
		}
		q.Answer(nil)
	})
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	ended := make(chan error, 1)
	go func() { // ends with the link, or ctx
		_, err := a.node.Ask(ctx, "nodeBB", "ASKED", "/x", nil)
		ended <- err
	}()
	<-asked
	if list := a.node.Linked(); len(list) != 1 || list[0] != "nodeBB" {
		t.Errorf("linked are %v", list)
	}
	for _, l := range a.node.links() {
		l.finish()
	}
	if !<-cut {
		t.Error("the question knows of its end before that of the link")
	}
	if err := <-ended; !errors.Is(err, ErrUnreachable) {
		t.Error(err)
	}
}
