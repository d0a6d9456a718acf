package socktopus

import (
	"maps"
	"reflect"
	"slices"
	"testing"

	"poosh/server/setting"
)

func TestSecrets(t *testing.T) {
	env := map[string]string{
		"MYAPP_SOCKTOPUS_SECRET": " s3cret-of-myapp ", "a_b_SOCKTOPUS_SECRET": "eight888", "NAME_SOCKTOPUS_SECRET": "ünïcödé8",
		"EMPTY_SOCKTOPUS_SECRET": "", "_SOCKTOPUS_SECRET": "none", "SOCKTOPUS_SECRET": "none", "C_SOCKTOPUS_SECRETS": "none",
	}
	var s settings
	var m setting.Mistakes
	setting.Read([]*setting.Group{s.group()}, setting.Environment{
		Lookup: func(name string) (string, bool) { v, ok := env[name]; return v, ok },
		Names:  slices.Sorted(maps.Keys(env)),
	}, &m)
	want := map[string]string{"myapp": " s3cret-of-myapp ", "a_b": "eight888", "name": "ünïcödé8"}
	if err := m.Err(); err != nil || !s.on() || !reflect.DeepEqual(s.Config.Secrets, want) {
		t.Errorf("%q, %v", s.Config.Secrets, err)
	}
}
