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
	if !q.Take(netip.Addr{}, 0, 63) || q.Take(netip.Addr{}, 0, 1) {
		t.Fatal("the others have the rest but an eighth")
	}
	if !q.Take(other, 0, 12) || q.Take(other, 0, 1) {
		t.Fatal("an address that has little has the rest, and no more")
	}
	if !q.Exceeds(one, 0, 1) || q.Exceeds(other, 0, 1) || q.Exceeds(netip.Addr{}, 0, 100) {
		t.Fatal("the share of an address is what refuses it, or is not")
	}
	q.Give(one, 25)
	q.Give(other, 12)
	q.Give(netip.Addr{}, 63)
	if q.Used() != 0 || len(q.byKey) != 0 || q.Refused() != 3 {
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
	if left := all - q.Used(); left < all/4-2*small || left > all/4 {
		t.Fatalf("%d left for those who hold little", left)
	}
	for q.Take(netip.Addr{}, 0, small) {
	}
	if left := all - q.Used(); left < all/8-2*small || left > all/8 {
		t.Fatalf("%d left for networks that have little", left)
	}
	if !q.Take(other, little-1, 1) || q.Take(other, 0, little) {
		t.Fatal("what is left is for networks that have little")
	}
}

// TestManyNetworks: strangers of many networks, who take what they get, leave something
// for one who comes from elsewhere.
func TestManyNetworks(t *testing.T) {
	const all = 16 << 20
	q := New(all)
	for i := range 250 {
		from := netip.AddrFrom4([4]byte{198, 51, byte(i >> 8), byte(i)})
		for n := 1 << 16; n > 0; n /= 2 {
			for holds := 0; q.Take(from, holds, n); holds += n {
			}
		}
	}
	if !q.Take(one, 0, little) {
		t.Fatalf("nothing is left: %d of %d are taken", q.Used(), all)
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
