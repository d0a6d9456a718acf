package loadtest

import (
	"bytes"
	"encoding/json"
	"fmt"
	"testing"
)

func TestPayloadIsJSONOfOneLength(t *testing.T) {
	for _, size := range []int{MinPayload, 150, 5000} {
		p := NewPayload(size)
		for _, n := range []int{0, 7, PerPublisher - 1} {
			p.Set(int64(n)*1_000_003, MaxPublishers-1, n)
			if len(p) != size {
				t.Fatalf("payload has %d bytes, want %d", len(p), size)
			}
			var v struct {
				At   json.Number `json:"at"`
				Seq  json.Number `json:"seq"`
				Text string      `json:"text"`
			}
			if err := json.Unmarshal(p, &v); err != nil {
				t.Fatalf("%s: %v", p, err)
			}
			// Servers that read numbers as doubles must print them as they came.
			for _, number := range []json.Number{v.At, v.Seq} {
				if f, _ := number.Float64(); fmt.Sprintf("%.0f", f) != number.String() {
					t.Errorf("%s is no double", number)
				}
			}
			at, publisher, number, took, ok := ParsePayload(p, p.Tail())
			if !ok || took != size || at != int64(n)*1_000_003 || publisher != MaxPublishers-1 || number != n {
				t.Errorf("parse gave %d, %d, %d, %v", at, publisher, number, ok)
			}
		}
	}
}

func TestParseRefusesWhatIsNotThePayload(t *testing.T) {
	p := NewPayload(150)
	p.Set(1, 0, 1)
	for _, i := range []int{len(Marker), seqOffset, textOffset, textOffset + len(textKey), len(p) - 1} {
		bad := bytes.Clone(p)
		bad[i] = '~'
		if _, _, _, _, ok := ParsePayload(bad, p.Tail()); ok {
			t.Errorf("byte %d is another and parse takes %s", i, bad)
		}
	}
	if _, _, _, _, ok := ParsePayload(p[:len(p)-1], p.Tail()); ok {
		t.Error("a payload cut short is taken")
	}
}
