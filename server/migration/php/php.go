// Package php reads what a PHP file of settings returns, as data: strings, numbers,
// constants that everybody knows, names of classes, lists, products of whole numbers, and
// calls of explode and of env, with variables as Laravel reads them
// (Illuminate\Support\Env). Nothing is run: what would have to be is an [Expression]. It
// knows nobody's settings. Texts, arrays within each other and words have bounds.
//
// Why our own: no reader of PHP in Go is to be had from the module proxy, and of the
// language this needs literals alone.
package php

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
)

// An Expression stands for a value that only running the file would tell.
type Expression struct{}

// An Unset stands for a value that the environment would give and does not.
type Unset struct{ Name string }

// maxText bounds a file, in bytes.
const maxText = 1 << 20

// Parse reads the array that the file returns: its values are nil, bool, string, int64,
// float64, []any, map[string]any, [Expression] and [Unset]. env are the variables of the
// environment, asked those that the file asks for. An error names the line, and shows
// nothing of the text.
func Parse(text string, env map[string]string) (tree map[string]any, asked map[string]bool, err error) {
	if len(text) > maxText {
		return nil, nil, fmt.Errorf("is larger than %d bytes", maxText)
	}
	tokens, err := lex(text)
	if err != nil {
		return nil, nil, err
	}
	p := &parser{tokens: tokens, env: env, asked: make(map[string]bool)}
	if !p.skipToReturn() {
		return nil, nil, errors.New("returns nothing: want a PHP file with return [...]")
	}
	v, err := p.value(0)
	if err != nil {
		return nil, nil, err
	}
	tree, ok := v.(map[string]any)
	if !ok {
		return nil, nil, fmt.Errorf("line %d: returns no array with names", p.line())
	}
	return tree, p.asked, nil
}

// maxDepth bounds arrays within arrays.
const maxDepth = 32

type parser struct {
	tokens []token
	at     int
	env    map[string]string
	asked  map[string]bool
	parts  int // that explode made so far
}

// peek returns the next token, one of kind kindEnd behind the last.
func (p *parser) peek() token { return p.tokens[min(p.at, len(p.tokens)-1)] }

func (p *parser) next() token {
	t := p.peek()
	p.at++
	return t
}

func (p *parser) line() int { return p.peek().line }

func (p *parser) is(text string) bool {
	t := p.peek()
	return t.kind == kindSign && t.text == text
}

func (p *parser) accept(text string) bool {
	if p.is(text) {
		p.at++
		return true
	}
	return false
}

// skipToReturn goes behind the first return that is in no function.
func (p *parser) skipToReturn() bool {
	depth := 0
	for ; p.peek().kind != kindEnd; p.at++ {
		t := p.peek()
		switch {
		case t.kind == kindSign && strings.Contains("([{", t.text):
			depth++
		case t.kind == kindSign && strings.Contains(")]}", t.text):
			depth--
		case depth == 0 && t.kind == kindName && strings.EqualFold(t.text, "return"):
			p.at++
			return true
		}
	}
	return false
}

// value reads a value up to what ends it: a comma, a bracket, => or the statement's end.
func (p *parser) value(depth int) (any, error) {
	if depth > maxDepth {
		return nil, fmt.Errorf("line %d: more than %d arrays within each other", p.line(), maxDepth)
	}
	v, err := p.term(depth)
	if err != nil {
		return nil, err
	}
	for p.is("*") { // such as 60 * 60
		p.at++
		w, err := p.term(depth)
		if err != nil {
			return nil, err
		}
		v = product(v, w)
	}
	if !p.ends() {
		v = Expression{}
		p.skip()
	}
	return v, nil
}

func (p *parser) ends() bool {
	t := p.peek()
	return t.kind == kindEnd || t.kind == kindSign && (t.text == "," || t.text == ";" || t.text == "=>" || t.text == "]" || t.text == ")" || t.text == "}")
}

// skip goes to what ends the value that is being read.
func (p *parser) skip() {
	for depth := 0; p.peek().kind != kindEnd; p.at++ {
		if depth == 0 && p.ends() {
			return
		}
		if t := p.peek(); t.kind == kindSign {
			switch t.text {
			case "(", "[", "{":
				depth++
			case ")", "]", "}":
				depth--
			}
		}
	}
}

// term reads a value that has no operator but a sign or a cast in front.
func (p *parser) term(depth int) (any, error) {
	t := p.next()
	switch {
	case t.kind == kindString:
		return t.text, nil
	case t.kind == kindNumber:
		return number(t.text), nil
	case t.kind == kindName:
		return p.named(t.text, depth)
	case t.kind == kindSign && t.text == "[":
		return p.array("]", depth)
	case t.kind == kindSign && t.text == "-" && p.peek().kind == kindNumber:
		return product(int64(-1), number(p.next().text)), nil
	case t.kind == kindSign && t.text == "(" && p.cast():
		return p.term(depth)
	case t.kind == kindEnd:
		return nil, fmt.Errorf("line %d: ends in the middle of an array", t.line)
	}
	p.at-- // whatever it is, skip meets it with its brackets
	p.skip()
	return Expression{}, nil
}

// cast goes behind the name of a type in parentheses, of which the first is read.
func (p *parser) cast() bool {
	t := p.peek()
	if t.kind != kindName || p.at+1 >= len(p.tokens) || p.tokens[p.at+1].text != ")" {
		return false
	}
	switch strings.ToLower(t.text) {
	case "int", "integer", "bool", "boolean", "string", "float", "double", "array":
		p.at += 2
		return true
	}
	return false
}

// number is a number as PHP writes it.
func number(text string) any {
	text = strings.ReplaceAll(text, "_", "")
	if n, err := strconv.ParseInt(text, 0, 64); err == nil {
		return n
	}
	if n, err := strconv.ParseFloat(text, 64); err == nil {
		return n
	}
	return Expression{}
}

// named reads what begins with a name: a constant, a class, an array or a call.
func (p *parser) named(name string, depth int) (any, error) {
	switch lower := strings.ToLower(strings.TrimPrefix(name, `\`)); {
	case lower == "true" || lower == "false":
		return lower == "true", nil
	case lower == "null":
		return nil, nil
	case strings.HasSuffix(lower, "::class"):
		return strings.TrimPrefix(name[:len(name)-len("::class")], `\`), nil
	case lower == "array" && p.accept("("):
		return p.array(")", depth)
	case (lower == "env" || lower == "env::get") && p.accept("("):
		return p.variable(depth)
	case lower == "explode" && p.accept("("):
		return p.explode(depth)
	}
	if p.accept("(") {
		if _, err := p.array(")", depth); err != nil {
			return nil, err
		}
	}
	if strings.EqualFold(name, "fn") && p.accept("=>") { // an arrow function, and no key
		if _, err := p.value(depth + 1); err != nil {
			return nil, err
		}
	}
	return Expression{}, nil
}

// array reads the rest of an array up to a closing bracket.
func (p *parser) array(closing string, depth int) (any, error) {
	list, names := []any{}, map[string]any{}
	for !p.accept(closing) {
		v, err := p.value(depth + 1)
		if err != nil {
			return nil, err
		}
		name := strconv.Itoa(len(list) + len(names))
		if p.accept("=>") {
			if text, ok := textOf(v); ok {
				name = text
			}
			if v, err = p.value(depth + 1); err != nil {
				return nil, err
			}
			names[name] = v
		} else {
			list = append(list, v)
		}
		switch {
		case p.accept(","):
		case !p.is(closing):
			return nil, fmt.Errorf("line %d: want %s or a comma", p.line(), closing)
		}
	}
	if len(names) == 0 {
		return list, nil
	}
	for i, v := range list { // PHP numbers what has no name
		names[strconv.Itoa(i)] = v
	}
	return names, nil
}

// variable reads the rest of env('NAME', default).
func (p *parser) variable(depth int) (any, error) {
	args, err := p.arguments(depth)
	if err != nil {
		return nil, err
	}
	name, ok := "", false
	if len(args) > 0 {
		name, ok = args[0].(string)
	}
	text, found := p.env[name]
	p.asked[name] = true
	switch {
	case !ok:
		return Expression{}, nil
	case found:
		return EnvValue(text), nil
	case len(args) > 1 && args[1] != nil:
		return args[1], nil
	}
	return Unset{name}, nil
}

// EnvValue is what Laravel makes of a variable.
func EnvValue(text string) any {
	switch strings.ToLower(text) {
	case "true", "(true)":
		return true
	case "false", "(false)":
		return false
	case "empty", "(empty)":
		return ""
	case "null", "(null)":
		return nil
	}
	return text
}

// explode reads the rest of explode(',', text).
func (p *parser) explode(depth int) (any, error) {
	args, err := p.arguments(depth)
	if err != nil {
		return nil, err
	}
	if len(args) == 2 {
		separator, ok1 := args[0].(string)
		text, ok2 := textOf(args[1])
		if u, missing := args[1].(Unset); missing {
			return u, nil
		}
		if ok1 && ok2 && separator != "" {
			if p.parts += 1 + strings.Count(text, separator); p.parts > maxTokens {
				return nil, fmt.Errorf("line %d: explode makes more than %d parts", p.line(), maxTokens)
			}
			list := []any{}
			for _, part := range strings.Split(text, separator) {
				list = append(list, part)
			}
			return list, nil
		}
	}
	return Expression{}, nil
}

// arguments reads the rest of a call.
func (p *parser) arguments(depth int) ([]any, error) {
	v, err := p.array(")", depth)
	args, ok := v.([]any)
	if err == nil && !ok { // arguments with names
		args = []any{Expression{}}
	}
	return args, err
}

// product is a times b, or an [Expression] where one is no number.
func product(a, b any) any {
	const most = 1 << 31
	x, ok1 := a.(int64)
	y, ok2 := b.(int64)
	if !ok1 || !ok2 || max(x, y) > most || min(x, y) < -most {
		return Expression{}
	}
	return x * y
}

// textOf is the text of a key, or of what is taken apart.
func textOf(v any) (string, bool) {
	switch v := v.(type) {
	case string:
		return v, true
	case int64:
		return strconv.FormatInt(v, 10), true
	case float64:
		return strconv.FormatFloat(v, 'f', -1, 64), true
	case bool:
		return strconv.FormatBool(v), true
	}
	return "", false
}
