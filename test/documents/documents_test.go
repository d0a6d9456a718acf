package documents

import (
	"reflect"
	"testing"
)

const page = "# A `code` heading, with: punctuation\n" +
	"\n" +
	"See [one](docs/one.md#two-words) and <https://example.com/>,\n" +
	"or `a/b.go` and ![image](i.png).\n" +
	"\n" +
	"## Twice\n" +
	"\n" +
	"| `cell` | [in a table](x.md) |\n" +
	"|---|---|\n" +
	"| `a` | b |\n" +
	"\n" +
	"## Twice\n" +
	"\n" +
	"1. In a list:\n" +
	"\n" +
	"   ```sh\n" +
	"   echo [no](link.md) `no span`\n" +
	"   ```\n" +
	"\n" +
	"text\n" +
	"\n" +
	"    indented\n"

func TestParse(t *testing.T) {
	got := parse("dir/p.md", []byte(page))
	want := &Page{
		Path:    "dir/p.md",
		Links:   []Text{{"docs/one.md#two-words", 3}, {"https://example.com/", 3}, {"i.png", 3}, {"x.md", 8}},
		Anchors: map[string]bool{"a-code-heading-with-punctuation": true, "twice": true, "twice-1": true},
		Spans:   []Text{{"code", 1}, {"a/b.go", 3}, {"cell", 8}, {"a", 10}},
		Blocks:  []Block{{"dir/p.md", 17, "sh", "echo [no](link.md) `no span`\n"}, {"dir/p.md", 22, "", "indented\n"}},
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
}

// The pages of this repository are found, and nothing that packages brought.
func TestRead(t *testing.T) {
	pages, err := Read("../..")
	if err != nil {
		t.Fatal(err)
	}
	found := make(map[string]bool)
	for _, p := range pages {
		found[p.Path] = true
	}
	for _, want := range []string{"README.md", "CHANGELOG.md", "docs/settings.md", "examples/php/README.md", "test/bench/README.md"} {
		if !found[want] {
			t.Errorf("%s is not read", want)
		}
	}
	for path := range found {
		if len(found) > 100 {
			t.Fatalf("%d pages, %s among them", len(found), path)
		}
	}
}
