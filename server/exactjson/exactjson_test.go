package exactjson

import (
	"encoding/json"
	"reflect"
	"testing"
)

type inner struct {
	UserID string          `json:"user_id"`
	Raw    json.RawMessage `json:"raw"`
}

type outer struct {
	Name  string           `json:"name"`
	In    inner            `json:"in"`
	List  []inner          `json:"list"`
	By    map[string]inner `json:"by"`
	Maybe *inner           `json:"maybe"`
	Plain []string         `json:"plain"`
	Not   string           `json:"-"`
}

func TestUnmarshal(t *testing.T) {
	for _, c := range []struct {
		text string
		want outer
	}{
		{`{"name":"a","NAME":"b"}`, outer{Name: "a"}},
		{`{"NAME":"b","name":"a"}`, outer{Name: "a"}},
		{`{"name":"a","name":"b"}`, outer{Name: "b"}},
		{`{"n\u0061me":"b"}`, outer{Name: "b"}},
		{`{"in":{"user_id":"safe","USER_ID":"admin","uſer_id":"admin"}}`, outer{In: inner{UserID: "safe"}}},
		{`{"in":{"user_id":"first"},"in":{"raw":1}}`, outer{In: inner{Raw: json.RawMessage("1")}}},
		{`{"list":[{"user_id":"a"},{"User_id":"b"}]}`, outer{List: []inner{{UserID: "a"}, {}}}},
		{`{"list":null,"plain":["x"]}`, outer{Plain: []string{"x"}}},
		{`{"by":{"k":{"user_id":"a","USER_ID":"b"}}}`, outer{By: map[string]inner{"k": {UserID: "a"}}}},
		{`{"maybe":{"user_id":"a","USER_ID":"b"}}`, outer{Maybe: &inner{UserID: "a"}}},
		{`{"maybe":null,"-":"x","Not":"x"}`, outer{}},
		{`null`, outer{}},
	} {
		var got outer
		if err := Unmarshal([]byte(c.text), &got); err != nil || !reflect.DeepEqual(got, c.want) {
			t.Errorf("%s: got %+v, %v", c.text, got, err)
		}
	}
	for _, text := range []string{``, `[]`, `1`, `{"name":1}`, `{"in":[]}`, `{"list":[1]}`, `{"name":"a"`, `{"name":"a"} x`} {
		if err := Unmarshal([]byte(text), new(outer)); err == nil {
			t.Errorf("%s: no error", text)
		}
	}
}

func FuzzUnmarshal(f *testing.F) {
	f.Add([]byte(`{"name":"a","in":{"user_id":"b"},"list":[{"raw":[1]}],"by":{"k":{}},"maybe":{}}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		var got outer
		if Unmarshal(text, &got) == nil && !json.Valid(text) {
			t.Fatal("no JSON, and no error")
		}
	})
}
