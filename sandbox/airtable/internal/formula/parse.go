// Package formula parses and evaluates Airtable formulas, as filterByFormula
// and formula fields use them. A formula is compiled once against a table's
// fields and evaluated for any number of records.
package formula

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Bounds on foreign input: how deep parentheses and calls may nest, how deep
// the finished tree may be (operators chain to the left), and its length.
const (
	maxNesting = 200
	maxDepth   = 2000
	maxSource  = 1 << 17
)

// Row is what a formula reads of one record.
type Row interface {
	// Field returns the cell of the field that Compile's resolve named i.
	Field(i int) Value
	// ID returns the record's id.
	ID() string
	// Created returns the record's creation in Unix milliseconds.
	Created() int64
	// Modified returns the last change of any of the fields, of all when there
	// are none, in Unix milliseconds; 0 when there was none.
	Modified(fields []int) int64
}

// Program is a compiled formula. It may be used concurrently.
type Program struct {
	root   node
	fields []int
	tokens []token
}

// token is a field reference in the source, kept so that a formula can be
// written out with field ids.
type token struct{ start, end, field int }

// ErrSyntax is a formula that can't be parsed; its text is Airtable's.
var ErrSyntax = errors.New("Invalid formula. Please check your formula text.")

// Compile parses src. resolve gives the index of a field by its name or id.
// The error's text is what Airtable appends to "The formula for filtering
// records is invalid: ".
func Compile(src string, resolve func(ref string) (int, bool)) (*Program, error) {
	if len(src) > maxSource {
		return nil, ErrSyntax
	}
	p := &parser{src: src, resolve: resolve}
	root, err := p.expression(0)
	if err == nil {
		if p.space(); p.pos != len(p.src) {
			err = ErrSyntax
		}
	}
	switch {
	case err != nil:
		return nil, err
	case len(p.unknownFunctions) > 0:
		return nil, fmt.Errorf("Unknown function names: %s", strings.ToLower(strings.Join(p.unknownFunctions, ", ")))
	case len(p.unknownFields) > 0:
		return nil, fmt.Errorf("Unknown field names: %s", strings.ToLower(strings.Join(p.unknownFields, ", ")))
	}
	prog := &Program{root: root, tokens: p.tokens}
	for _, t := range p.tokens {
		if !slices.Contains(prog.fields, t.field) {
			prog.fields = append(prog.fields, t.field)
		}
	}
	return prog, nil
}

// Fields returns the indexes of the fields the formula refers to.
func (p *Program) Fields() []int { return p.fields }

// Rewrite returns src, which p was compiled from, with every field reference
// replaced by {name(field)}.
func (p *Program) Rewrite(src string, name func(field int) string) string {
	var b strings.Builder
	at := 0
	for _, t := range p.tokens {
		b.WriteString(src[at:t.start])
		b.WriteString("{" + name(t.field) + "}")
		at = t.end
	}
	b.WriteString(src[at:])
	return b.String()
}

// Evaluator evaluates one program for many rows. It is not safe for concurrent use.
type Evaluator struct {
	prog *Program
	env  env
}

// Evaluator returns an evaluator for which NOW() is now.
func (p *Program) Evaluator(now time.Time) *Evaluator {
	return &Evaluator{prog: p, env: env{now: now.UTC()}}
}

// Eval returns the formula's value for row.
func (e *Evaluator) Eval(row Row) Value {
	e.env.row = row
	e.env.args = e.env.args[:0]
	return e.prog.root.eval(&e.env)
}

type env struct {
	row  Row
	now  time.Time
	args []Value // the stack that holds the arguments of calls under way
}

type node struct {
	eval  func(*env) Value
	val   Value // the value, if constant
	konst bool
	depth int
}

func constant(v Value) node {
	return node{eval: func(*env) Value { return v }, val: v, konst: true, depth: 1}
}

// combine makes a node over children, evaluated now if all of them are constant: eval must be pure.
func combine(eval func(*env) Value, children ...node) (node, error) {
	n := node{eval: eval, depth: 1, konst: true}
	for _, c := range children {
		n.depth = max(n.depth, c.depth+1)
		n.konst = n.konst && c.konst
	}
	if n.depth > maxDepth {
		return node{}, ErrSyntax
	}
	if n.konst {
		depth := n.depth
		n = constant(eval(&env{}))
		n.depth = depth
	}
	return n, nil
}

type parser struct {
	src                             string
	pos                             int
	nesting                         int
	resolve                         func(string) (int, bool)
	tokens                          []token
	unknownFields, unknownFunctions []string
}

// binary operators by precedence, weakest first; longer spellings first.
var operators = [][]string{
	{"!=", "<=", ">=", "=", "<", ">"},
	{"&"},
	{"+", "-"},
	{"*", "/"},
}

func (p *parser) space() {
	for p.pos < len(p.src) {
		switch p.src[p.pos] {
		case ' ', '\t', '\n', '\r':
			p.pos++
		default:
			if !strings.HasPrefix(p.src[p.pos:], "\u00a0") {
				return
			}
			p.pos += len("\u00a0")
		}
	}
}

func (p *parser) accept(s string) bool {
	p.space()
	if strings.HasPrefix(p.src[p.pos:], s) {
		p.pos += len(s)
		return true
	}
	return false
}

func (p *parser) expression(level int) (node, error) {
	if level == len(operators) {
		return p.unary()
	}
	left, err := p.expression(level + 1)
	if err != nil {
		return node{}, err
	}
next:
	for {
		for _, op := range operators[level] {
			if p.accept(op) {
				right, err := p.expression(level + 1)
				if err != nil {
					return node{}, err
				}
				if left, err = binary(op, left, right); err != nil {
					return node{}, err
				}
				continue next
			}
		}
		return left, nil
	}
}

func (p *parser) unary() (node, error) {
	if p.nesting++; p.nesting > maxNesting {
		return node{}, ErrSyntax
	}
	defer func() { p.nesting-- }()
	switch {
	case p.accept("-"):
		n, err := p.unary()
		if err != nil {
			return node{}, err
		}
		return binary("-", constant(Num(0)), n)
	case p.accept("+"):
		return p.unary()
	}
	return p.primary()
}

func (p *parser) primary() (node, error) {
	p.space()
	if p.pos == len(p.src) {
		return node{}, ErrSyntax
	}
	start := p.pos
	switch c := p.src[p.pos]; {
	case c == '(':
		p.pos++
		n, err := p.expression(0)
		if err == nil && !p.accept(")") {
			err = ErrSyntax
		}
		return n, err
	case c == '"' || c == '\'':
		s, err := p.quoted(c)
		return constant(Str(s)), err
	case c == '{':
		name, err := p.quoted('}')
		if err != nil {
			return node{}, err
		}
		return p.field(name, start), nil
	case c >= '0' && c <= '9' || c == '.':
		return p.number()
	case isNameStart(c):
		for p.pos < len(p.src) && (isNameStart(p.src[p.pos]) || p.src[p.pos] >= '0' && p.src[p.pos] <= '9') {
			p.pos++
		}
		name := p.src[start:p.pos]
		if p.accept("(") {
			return p.call(name)
		}
		return p.field(name, start), nil
	}
	return node{}, ErrSyntax
}

func isNameStart(c byte) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c == '_' || c >= 0x80
}

// quoted reads up to an unescaped end; a backslash quotes the next character.
func (p *parser) quoted(end byte) (string, error) {
	p.pos++
	start := p.pos
	for ; p.pos < len(p.src); p.pos++ {
		switch p.src[p.pos] {
		case end:
			s := p.src[start:p.pos]
			p.pos++
			return s, nil
		case '\\':
			return p.escaped(start, end)
		}
	}
	return "", ErrSyntax
}

func (p *parser) escaped(start int, end byte) (string, error) {
	b := []byte(p.src[start:p.pos])
	for ; p.pos < len(p.src); p.pos++ {
		c := p.src[p.pos]
		if c == end {
			p.pos++
			return string(b), nil
		}
		if c == '\\' {
			if p.pos++; p.pos == len(p.src) {
				break
			}
			switch c = p.src[p.pos]; c {
			case 'n':
				c = '\n'
			case 't':
				c = '\t'
			case 'r':
				c = '\r'
			case end, '\\', '"', '\'', '{', '}':
			default: // kept as it is, so that "\d" reaches a regular expression
				b = append(b, '\\')
			}
		}
		b = append(b, c)
	}
	return "", ErrSyntax
}

func (p *parser) number() (node, error) {
	start := p.pos
	for p.pos < len(p.src) && (p.src[p.pos] >= '0' && p.src[p.pos] <= '9' || p.src[p.pos] == '.') {
		p.pos++
	}
	f, err := strconv.ParseFloat(p.src[start:p.pos], 64)
	if err != nil || p.pos < len(p.src) && isNameStart(p.src[p.pos]) && !strings.HasPrefix(p.src[p.pos:], "\u00a0") {
		return node{}, ErrSyntax
	}
	return constant(Num(f)), nil
}

func (p *parser) field(name string, start int) node {
	i, ok := p.resolve(name)
	if !ok {
		p.unknownFields = append(p.unknownFields, name)
	}
	p.tokens = append(p.tokens, token{start, p.pos, i})
	return node{eval: func(e *env) Value { return e.row.Field(i) }, depth: 1}
}

func (p *parser) call(name string) (node, error) {
	name = strings.ToUpper(name)
	first := len(p.tokens)
	var args []node
	for !p.accept(")") {
		if len(args) > 0 && !p.accept(",") {
			return node{}, ErrSyntax
		}
		arg, err := p.expression(0)
		if err != nil {
			return node{}, err
		}
		args = append(args, arg)
	}
	if name == "LAST_MODIFIED_TIME" {
		return p.lastModified(args, p.tokens[first:])
	}
	if build, ok := forms[name]; ok {
		return build(args)
	}
	f, ok := functions[name]
	if !ok {
		p.unknownFunctions = append(p.unknownFunctions, name)
		return constant(Value{}), nil
	}
	if len(args) < f.min || f.max >= 0 && len(args) > f.max {
		return node{}, ErrSyntax
	}
	return combine(f.bind(args), args...)
}

// lastModified takes fields as its arguments, not their values.
func (p *parser) lastModified(args []node, tokens []token) (node, error) {
	if len(args) != len(tokens) {
		return node{}, ErrSyntax
	}
	var fields []int
	for _, t := range tokens {
		fields = append(fields, t.field)
	}
	return node{depth: 1, eval: func(e *env) Value {
		ms := e.row.Modified(fields)
		if ms == 0 {
			return Value{}
		}
		return Millis(ms, false)
	}}, nil
}
