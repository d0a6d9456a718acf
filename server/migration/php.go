package migration

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
)

// readPHP reads the array that a PHP file returns, as data: strings, numbers, constants
// that everybody knows, names of classes, lists, and calls of env, whose variables are
// those given, as Laravel reads them (Illuminate\Support\Env). Nothing is run: what
// would have to be is an [expression]. Its bounds are [maxFile], maxDepth and
// maxTokens.
//
// Why our own: no reader of PHP in Go is to be had from the module proxy, and of the
// language this needs literals alone.
//
// asked has the variables that the file asks for.
func readPHP(text string, env map[string]string) (tree any, asked map[string]bool, err error) {
	tokens, err := lexPHP(text)
	if err != nil {
		return nil, nil, err
	}
	p := &phpParser{tokens: tokens, env: env, asked: make(map[string]bool)}
	if !p.skipToReturn() {
		return nil, nil, errors.New("returns nothing: want a PHP file with return [...]")
	}
	v, err := p.value(0)
	if err != nil {
		return nil, nil, err
	}
	if _, ok := v.(map[string]any); !ok {
		return nil, nil, fmt.Errorf("line %d: returns no array with names", p.line())
	}
	return v, p.asked, nil
}

// maxDepth bounds arrays within arrays.
const maxDepth = 32

type phpParser struct {
	tokens []phpToken
	at     int
	env    map[string]string
	asked  map[string]bool
}

// peek returns the next token, one of kind phpEnd behind the last.
func (p *phpParser) peek() phpToken { return p.tokens[min(p.at, len(p.tokens)-1)] }

func (p *phpParser) next() phpToken {
	t := p.peek()
	p.at++
	return t
}

func (p *phpParser) line() int { return p.peek().line }

func (p *phpParser) is(text string) bool {
	t := p.peek()
	return t.kind == phpSign && t.text == text
}

func (p *phpParser) accept(text string) bool {
	if p.is(text) {
		p.at++
		return true
	}
	return false
}

// skipToReturn goes behind the first return that is in no function.
func (p *phpParser) skipToReturn() bool {
	depth := 0
	for ; p.peek().kind != phpEnd; p.at++ {
		t := p.peek()
		switch {
		case t.kind == phpSign && strings.Contains("([{", t.text):
			depth++
		case t.kind == phpSign && strings.Contains(")]}", t.text):
			depth--
		case depth == 0 && t.kind == phpName && strings.EqualFold(t.text, "return"):
			p.at++
			return true
		}
	}
	return false
}

// value reads a value up to what ends it: a comma, a bracket, => or the statement's end.
func (p *phpParser) value(depth int) (any, error) {
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
		a, ok1 := numberOf(v)
		b, ok2 := numberOf(w)
		if v = any(expression{}); ok1 && ok2 {
			v = a * b
		}
	}
	if !p.ends() {
		v = expression{}
		p.skip()
	}
	return v, nil
}

func (p *phpParser) ends() bool {
	t := p.peek()
	return t.kind == phpEnd || t.kind == phpSign && (t.text == "," || t.text == ";" || t.text == "=>" || t.text == "]" || t.text == ")" || t.text == "}")
}

// skip goes to what ends the value that is being read.
func (p *phpParser) skip() {
	for depth := 0; p.peek().kind != phpEnd; p.at++ {
		if depth == 0 && p.ends() {
			return
		}
		if t := p.peek(); t.kind == phpSign {
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
func (p *phpParser) term(depth int) (any, error) {
	t := p.next()
	switch {
	case t.kind == phpString:
		return t.text, nil
	case t.kind == phpNumber:
		return phpNumberOf(t.text), nil
	case t.kind == phpName:
		return p.named(t.text, depth)
	case t.kind == phpSign && t.text == "[":
		return p.array("]", depth)
	case t.kind == phpSign && t.text == "-" && p.peek().kind == phpNumber:
		if n, ok := numberOf(phpNumberOf(p.next().text)); ok {
			return -n, nil
		}
	case t.kind == phpSign && t.text == "(" && p.cast():
		return p.term(depth)
	case t.kind == phpEnd:
		return nil, fmt.Errorf("line %d: ends in the middle of an array", t.line)
	}
	p.at-- // whatever it is, skip meets it with its brackets
	p.skip()
	return expression{}, nil
}

// cast goes behind the name of a type in parentheses, of which the first is read.
func (p *phpParser) cast() bool {
	t := p.peek()
	if t.kind != phpName || p.at+1 >= len(p.tokens) || p.tokens[p.at+1].text != ")" {
		return false
	}
	switch strings.ToLower(t.text) {
	case "int", "integer", "bool", "boolean", "string", "float", "double", "array":
		p.at += 2
		return true
	}
	return false
}

// phpNumberOf is a number as PHP writes it.
func phpNumberOf(text string) any {
	text = strings.ReplaceAll(text, "_", "")
	if n, err := strconv.ParseInt(text, 0, 64); err == nil {
		return n
	}
	if n, err := strconv.ParseFloat(text, 64); err == nil {
		return n
	}
	return expression{}
}

// named reads what begins with a name: a constant, a class, an array or a call.
func (p *phpParser) named(name string, depth int) (any, error) {
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
	return expression{}, nil
}

// array reads the rest of an array up to a closing bracket.
func (p *phpParser) array(closing string, depth int) (any, error) {
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
func (p *phpParser) variable(depth int) (any, error) {
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
		return expression{}, nil
	case found:
		return laravelValue(text), nil
	case len(args) > 1 && args[1] != nil:
		return args[1], nil
	}
	return unset{name}, nil
}

// laravelValue is what Laravel makes of a variable.
func laravelValue(text string) any {
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
func (p *phpParser) explode(depth int) (any, error) {
	args, err := p.arguments(depth)
	if err != nil {
		return nil, err
	}
	if len(args) == 2 {
		separator, ok1 := args[0].(string)
		text, ok2 := textOf(args[1])
		if u, missing := args[1].(unset); missing {
			return u, nil
		}
		if ok1 && ok2 && separator != "" {
			list := []any{}
			for _, part := range strings.Split(text, separator) {
				list = append(list, part)
			}
			return list, nil
		}
	}
	return expression{}, nil
}

// arguments reads the rest of a call.
func (p *phpParser) arguments(depth int) ([]any, error) {
	v, err := p.array(")", depth)
	args, ok := v.([]any)
	if err == nil && !ok { // arguments with names
		args = []any{expression{}}
	}
	return args, err
}
