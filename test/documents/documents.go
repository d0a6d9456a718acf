// Package documents reads the Markdown of this repository for tests: what its pages
// link to, which anchors they have, and the code in them. Only tests import it.
package documents

import (
	"bytes"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"unicode"

	"github.com/yuin/goldmark"
	"github.com/yuin/goldmark/ast"
	"github.com/yuin/goldmark/extension"
	"github.com/yuin/goldmark/text"
)

// A Page is one Markdown file.
type Page struct {
	Path    string // from the root of the repository, with slashes
	Links   []Text // targets as they are written
	Anchors map[string]bool
	Spans   []Text // code between backticks
	Blocks  []Block
}

// A Text is something that stands in a page.
type Text struct {
	Text string
	Line int // that it stands in, or its paragraph begins at, from 1
}

// A Block is code on lines of its own.
type Block struct {
	Page     string // its path
	Line     int    // of the first line of code, from 1
	Language string // what stands behind the fence; empty also for a block that is only indented
	Code     string // without the indentation of a list that the block stands in
}

// String says where a block is.
func (b Block) String() string { return fmt.Sprintf("%s:%d", b.Page, b.Line) }

// Read reads every Markdown file below root but for what packages brought there.
func Read(root string) ([]*Page, error) {
	var pages []*Page
	err := filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
		switch name := entry.Name(); {
		case err != nil:
			return err
		case entry.IsDir() && path != root && (name == "node_modules" || name == "target" || strings.HasPrefix(name, ".")):
			return fs.SkipDir
		case entry.IsDir() || filepath.Ext(name) != ".md":
			return nil
		}
		source, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(root, path)
		if err != nil {
			return err
		}
		pages = append(pages, parse(filepath.ToSlash(rel), source))
		return nil
	})
	return pages, err
}

// parse reads one page.
func parse(path string, source []byte) *Page {
	p := &Page{Path: path, Anchors: make(map[string]bool)}
	tree := goldmark.New(goldmark.WithExtensions(extension.GFM)).Parser().Parse(text.NewReader(source))
	line := 1
	_ = ast.Walk(tree, func(n ast.Node, entering bool) (ast.WalkStatus, error) { // no step fails
		if !entering {
			return ast.WalkContinue, nil
		}
		if n.Type() == ast.TypeBlock && n.Lines().Len() > 0 {
			line = 1 + bytes.Count(source[:n.Lines().At(0).Start], []byte("\n"))
		}
		switch n := n.(type) {
		case *ast.Heading:
			p.anchor(string(plain(n, source)))
		case *ast.Link:
			p.Links = append(p.Links, Text{string(n.Destination), line})
		case *ast.Image:
			p.Links = append(p.Links, Text{string(n.Destination), line})
		case *ast.AutoLink:
			p.Links = append(p.Links, Text{string(n.URL(source)), line})
		case *ast.CodeSpan:
			p.Spans = append(p.Spans, Text{string(plain(n, source)), line})
		case *ast.FencedCodeBlock:
			p.Blocks = append(p.Blocks, Block{path, line, string(n.Language(source)), code(n, source)})
		case *ast.CodeBlock:
			p.Blocks = append(p.Blocks, Block{path, line, "", code(n, source)})
		}
		return ast.WalkContinue, nil
	})
	return p
}

// anchor adds the anchor that GitHub gives a heading: lower case, words joined by
// dashes, nothing but letters, digits, dashes and underscores, and a number when there
// was such a one already.
func (p *Page) anchor(heading string) {
	slug := strings.Map(func(r rune) rune {
		switch {
		case r == ' ' || r == '-':
			return '-'
		case r == '_' || unicode.IsLetter(r) || unicode.IsDigit(r):
			return unicode.ToLower(r)
		}
		return -1
	}, heading)
	name := slug
	for n := 1; p.Anchors[name]; n++ {
		name = fmt.Sprintf("%s-%d", slug, n)
	}
	p.Anchors[name] = true
}

// plain returns the text below a node.
func plain(n ast.Node, source []byte) (out []byte) {
	for c := n.FirstChild(); c != nil; c = c.NextSibling() {
		if t, ok := c.(*ast.Text); ok {
			out = append(out, t.Value(source)...)
			if t.SoftLineBreak() {
				out = append(out, ' ')
			}
			continue
		}
		out = append(out, plain(c, source)...)
	}
	return out
}

func code(n ast.Node, source []byte) string {
	var out strings.Builder
	for i := range n.Lines().Len() {
		segment := n.Lines().At(i)
		out.Write(segment.Value(source))
	}
	return out.String()
}
