package passing

import (
	"bytes"
	"encoding/binary"
	"testing"
)

// What nobody has signed is kept up to a piece, whatever length is said.
func TestHostileLengths(t *testing.T) {
	flood := bytes.Repeat([]byte{frameAnswer}, 8<<20)
	for name, length := range map[string]uint32{
		"nothing": 0, "half a head": frameHead - 1, "a piece": maxPiece, "a byte more": maxPiece + 1,
		"what a frame may have": maxFrame, "all there is": 1<<32 - 1,
	} {
		for _, step := range []int{1, 1000, 64 << 10} {
			u := &unsealer{seal: newSeal([]byte("key"))}
			left := append(binary.BigEndian.AppendUint32(nil, length), flood...)
			fed := 0
			for whole := true; whole && len(left) > 0; {
				n := min(step, len(left))
				whole = u.feed(left[:n], func(byte, uint64, []byte) bool {
					t.Errorf("%s: something is taken", name)
					return false
				})
				fed, left = fed+n, left[n:]
			}
			if most := lengthSize + maxPiece + macSize + step; fed > most || cap(u.rest) > 4*most || u.more != nil {
				t.Errorf("%s by %d: %d bytes were believed, %d are kept", name, step, fed, cap(u.rest))
			}
		}
	}
}

// Who has signed pieces without end is cut off too.
func TestEndlessPieces(t *testing.T) {
	out, u := newSeal([]byte("key")), &unsealer{seal: newSeal([]byte("key"))}
	u.more = make([]byte, maxFrame-1) // as if so much had come
	handle := func(byte, uint64, []byte) bool { return true }
	if !u.feed(out.pieces(append(newFrame(frameMore, 0, 0), 'x')), handle) {
		t.Error("a frame as long as may be is not taken")
	}
	if u.feed(out.pieces(append(newFrame(frameMore, 0, 0), 'x')), handle) {
		t.Error("one that is longer is taken")
	}
}

// Frames of every length around the bounds of pieces arrive as they were.
func TestPieces(t *testing.T) {
	out, u := newSeal([]byte("key")), &unsealer{seal: newSeal([]byte("key"))}
	const room = maxPiece - frameHead
	for _, size := range []int{0, 1, room - 1, room, room + 1, 2*room - 1, 2 * room, 2*room + 1, 5 * room} {
		text := bytes.Repeat([]byte{byte(size)}, size)
		came := 0
		if !u.feed(out.pieces(append(newFrame(frameAnswer, uint64(size), 0), text...)), func(kind byte, id uint64, rest []byte) bool {
			came++
			if kind != frameAnswer || id != uint64(size) || !bytes.Equal(rest, text) {
				t.Errorf("of %d bytes %d came, as kind %d", size, len(rest), kind)
			}
			return true
		}) || came != 1 || cap(u.more) > 2*keepBuffer || cap(u.rest) > 2*keepBuffer {
			t.Errorf("of %d bytes %d frames came; %d and %d are kept", size, came, cap(u.more), cap(u.rest))
		}
	}
}
