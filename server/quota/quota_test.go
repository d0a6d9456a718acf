package quota

import (
	"errors"
	"io"
	"net/netip"
	"strings"
	"testing"
)

var (
	one   = netip.MustParseAddr("192.0.2.1")
	other = netip.MustParseAddr("192.0.2.2")
)

func TestOneAddressCannotTakeAll(t *testing.T) {
	q := New(100)
	if !q.Take(one, 0, 25) || q.Take(one, 0, 1) {
		t.Fatal("an address takes its share, and no more")
	}
	if !q.Take(other, 0, 25) || !q.Take(netip.Addr{}, 0, 50) || q.Take(netip.Addr{}, 0, 1) {
		t.Fatal("the others have the rest, and no more")
	}
	q.Give(one, 25)
	q.Give(other, 25)
	q.Give(netip.Addr{}, 50)
	if q.Used() != 0 || len(q.byKey) != 0 || q.Refused() != 2 {
		t.Fatalf("left: %d, %v, %d refused", q.Used(), q.byKey, q.Refused())
	}
}

// TestSmallHolders: those who hold much leave something for those who hold little, in
// all and of what one address may have.
func TestSmallHolders(t *testing.T) {
	const all = 64 * small
	q := New(all)
	if !q.Take(one, 0, all/4-all/32) || q.Take(one, small, 1) {
		t.Fatal("who holds much takes all of its address but an eighth")
	}
	if !q.Take(one, 0, small) {
		t.Fatal("behind the same address there is nothing for others")
	}
	for q.Take(netip.Addr{}, 5*small, small) {
	}
	if left := all - q.Used(); left < all/8-2*small || left > all/8 {
		t.Fatalf("%d left", left)
	}
	if !q.Take(other, small-1, 1) || q.Take(other, small, 1) {
		t.Fatal("what is left is for those who hold little")
	}
}

func TestReader(t *testing.T) {
	q := New(100)
	r := q.Reader(io.NopCloser(strings.NewReader(strings.Repeat("x", 20))), one)
	if b, err := io.ReadAll(r); err != nil || len(b) != 20 || q.Used() != 20 {
		t.Fatalf("%d bytes, %v, %d used", len(b), err, q.Used())
	}
	r.Release()
	r.Release()
	if q.Used() != 0 {
		t.Fatalf("%d used", q.Used())
	}
	r = q.Reader(io.NopCloser(strings.NewReader(strings.Repeat("x", 30))), one)
	if _, err := io.ReadAll(r); !errors.Is(err, ErrFull) {
		t.Fatal(err)
	}
	r.Release()
	if q.Used() != 0 {
		t.Fatalf("%d used", q.Used())
	}
}

func TestKeep(t *testing.T) {
	q := New(100)
	q.Keep(one, 200)
	if q.Used() != 200 || q.Take(other, 0, 1) {
		t.Fatalf("%d used", q.Used())
	}
	q.Give(one, 200)
	if q.Used() != 0 || len(q.byKey) != 0 {
		t.Fatalf("%d used, %v", q.Used(), q.byKey)
	}
}
