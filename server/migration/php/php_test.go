package php

import (
	"fmt"
	"reflect"
	"strings"
	"testing"
)

// What a PHP file says is read as data; what would have to be run is not.
func TestPHPValues(t *testing.T) {
	env := map[string]string{"ON": "true", "OFF": "(false)", "NUMBER": "12", "TEXT": "a,b", "NONE": "null", "EMPTY": "empty"}
	for text, want := range map[string]any{
		`'it\'s'`:                     "it's",
		`'a\nb\\'`:                    `a\nb\`,
		`"a\nb\"\$c"`:                 "a\nb\"$c",
		`"a $b"`:                      Expression{},
		`"]"`:                         "]",
		`"$a]"`:                       Expression{},
		`12`:                          int64(12),
		`10_000`:                      int64(10000),
		`0x1F`:                        int64(31),
		`1.5`:                         1.5,
		`-3`:                          int64(-3),
		`60 * 60`:                     int64(3600),
		`60 * $x`:                     Expression{},
		`true`:                        true,
		`FALSE`:                       false,
		`\null`:                       nil,
		`\App\Handler::class`:         `App\Handler`,
		`Authorize::class`:            "Authorize",
		`PHP_INT_MAX`:                 Expression{},
		`App::VERSION`:                Expression{},
		`env('ON')`:                   true,
		`env('OFF', true)`:            false,
		`env("NUMBER", 3)`:            "12",
		`env('MISSING', 3)`:           int64(3),
		`env('MISSING')`:              Unset{"MISSING"},
		`env('MISSING', null)`:        Unset{"MISSING"},
		`env('NONE', 'x')`:            nil,
		`env('EMPTY', 'x')`:           "",
		`env('MISSING', env('ON'))`:   true,
		`Env::get('NUMBER')`:          "12",
		`env($name)`:                  Expression{},
		`env('ON') === 'x'`:           Expression{},
		`(int) env('NUMBER')`:         "12",
		`(bool) 1`:                    int64(1),
		`env('ON') ? 'a' : 'b'`:       Expression{},
		`'a' . 'b'`:                   Expression{},
		`explode(',', env('TEXT'))`:   []any{"a", "b"},
		`explode(',', 'x,y', -1)`:     Expression{},
		`explode($a, 'x,y')`:          Expression{},
		`storage_path('x')`:           Expression{},
		`new Thing(['a' => 1])`:       Expression{},
		`fn ($x) => [1, 2, $x]`:       Expression{},
		`function () { return [1]; }`: Expression{},
		`[...$more]`:                  []any{Expression{}},
		`[]`:                          []any{},
		`array(1, 'a',)`:              []any{int64(1), "a"},
		`['a' => 1, 2]`:               map[string]any{"a": int64(1), "0": int64(2)},
		`[3 => 'x']`:                  map[string]any{"3": "x"},
		`[[['deep' => [true]]]]`:      []any{[]any{map[string]any{"deep": []any{true}}}},
		"'a' // ],\n":                 "a",
		"'a' /* ], */":                "a",
		"# ],\n'a'":                   "a",
	} {
		tree, _, err := Parse("<?php\nreturn ['before' => 1, 'v' => "+text+", 'after' => 2];\n", env)
		if err != nil {
			t.Errorf("%s: %v", text, err)
			continue
		}
		got := tree
		if !reflect.DeepEqual(got["v"], want) || got["after"] != int64(2) {
			t.Errorf("%s is read as %#v, want %#v, in %v", text, got["v"], want, got)
		}
	}
}

// What stands before the array, and around it, is nobody's.
func TestPHPFiles(t *testing.T) {
	for _, text := range []string{
		"<?php\nnamespace App;\nuse X\\Y;\nuse Z\\{A, B};\ndeclare(strict_types=1);\n$x = [1];\nfunction f() { return ['a' => 2]; }\nreturn ['a' => 1];",
		"\n\n<?php return array('a' => 1)",
		"<?PHP return ['a' => 1]; ?> text ] {",
		"<? return [ // ?>",
		"<?php if (true) { return ['a' => 2]; } return ['a' => 1];",
	} {
		tree, _, err := Parse(text, nil)
		if strings.Contains(text, "// ?>") {
			if err == nil {
				t.Errorf("%q: PHP ends in the comment, and the array does not", text)
			}
			continue
		}
		if err != nil || !reflect.DeepEqual(tree, map[string]any{"a": int64(1)}) {
			t.Errorf("%q: %v, %v", text, tree, err)
		}
	}
	for text, want := range map[string]string{
		"<?php return [" + strings.Repeat("[", 40) + strings.Repeat("]", 40) + "];": "more than 32 arrays",
		"<?php return ['a' => '" + "x":                                              "line 1: a text has no end",
		"<?php return ['a' => /* x":                                                 "line 1: a comment has no end",
		"<?php return ['a' =>":                                                      "ends in the middle",
		"<?php\nreturn ['a' => <<<X\ny\nX];":                                        "line 2: has a text of several lines",
		"<?php return [" + strings.Repeat("1,", maxTokens) + "];":                   fmt.Sprintf("more than %d words", maxTokens),
		"echo 1;": "want <?php",
	} {
		if _, _, err := Parse(text, nil); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%.60q: %v, want %s", text, err, want)
		}
	}
}

// FuzzParse has the reader end, whatever it reads, with a tree or an error that shows
// nothing of it.
func FuzzParse(f *testing.F) {
	// Short ones: what is made of long ones takes long to be made short again.
	for _, text := range []string{"<?php return ['a' => env('B', [1,2])];", "<?php return [", "<?", "<?php return array(array(", "<?php return ['a'=>explode(',',env('A'))];",
		"<?php use A\\B; return ['a' => (int) \\B::class, // c\n 'd' => -2 * 3_0, 'e' => \"f\\n$g\",];", "<?php return ['a' => fn($b) => [1], # c\n];", "<?php return array(1 => env(\"A\") ?: null, 'x' => true) ?>"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		tree, asked, err := Parse(text, map[string]string{"A": "1", "B": "x,y"})
		if err != nil {
			if n := len(err.Error()); n > 100 {
				t.Errorf("an error of %d bytes: %v", n, err)
			}
			return
		}
		if asked == nil || tree == nil {
			t.Errorf("%v, %v", tree, asked)
		}
	})
}

// What explode makes of one variable again and again is bounded.
func TestExplodeIsBounded(t *testing.T) {
	env := map[string]string{"A": strings.Repeat(",", 1000)}
	for n, bad := range map[int]bool{10: false, 101: true} {
		text := "<?php return ['a' => [" + strings.Repeat("explode(',', env('A')),", n) + "]];"
		if _, _, err := Parse(text, env); bad != (err != nil) {
			t.Errorf("%d times: %v", n, err)
		}
	}
}
