package formula

import (
	"math"
	"slices"
	"time"
)

// maxText bounds what a formula may build, in bytes.
const maxText = 1 << 18

func text(s string) Value {
	if len(s) > maxText {
		return Failed
	}
	return Str(s)
}

func binary(op string, l, r node) (node, error) {
	var f func(a, b Value) Value
	switch op {
	case "&":
		f = func(a, b Value) Value { return text(a.Text() + b.Text()) }
	case "+", "-", "*", "/":
		f = arithmetic(op[0])
	default:
		return comparison(op, l, r)
	}
	return combine(func(e *env) Value {
		a := l.eval(e)
		b := r.eval(e)
		if a.kind == Error || b.kind == Error {
			return Failed
		}
		return f(a, b)
	}, l, r)
}

func arithmetic(op byte) func(a, b Value) Value {
	return func(a, b Value) Value {
		if op == '+' && (a.kind == Text || b.kind == Text) {
			return text(a.Text() + b.Text())
		}
		x, okx := a.float()
		y, oky := b.float()
		if !okx || !oky {
			return Failed
		}
		switch op {
		case '+':
			return Num(x + y)
		case '-':
			return Num(x - y)
		case '*':
			return Num(x * y)
		}
		if y == 0 {
			if x == 0 {
				return Num(math.NaN())
			}
			return Failed
		}
		return Num(x / y)
	}
}

var comparisons = map[string]func(int) bool{
	"=":  func(c int) bool { return c == 0 },
	"!=": func(c int) bool { return c != 0 },
	"<":  func(c int) bool { return c == -1 },
	">":  func(c int) bool { return c == 1 },
	"<=": func(c int) bool { return c == -1 || c == 0 },
	">=": func(c int) bool { return c == 1 || c == 0 },
}

func comparison(op string, l, r node) (node, error) {
	holds := comparisons[op]
	equality := op == "=" || op == "!="
	lDate, rDate := literalDate(l), literalDate(r)
	return combine(func(e *env) Value {
		a := l.eval(e)
		b := r.eval(e)
		if a.kind == Error || b.kind == Error {
			return Failed
		}
		// A literal is parsed once, not for every record.
		if a.kind == Date && rDate.kind == Date {
			b = rDate
		} else if b.kind == Date && lDate.kind == Date {
			a = lDate
		}
		if equality && (a.kind == Blank || b.kind == Blank) {
			return Truth(Equal(a, b) == (op == "="))
		}
		return Truth(holds(order(a, b)))
	}, l, r)
}

// literalDate returns the date a text literal spells, else blank.
func literalDate(n node) Value {
	if n.konst && n.val.kind == Text {
		if ms, day, ok := ParseDate(n.val.text); ok {
			return Millis(ms, day)
		}
	}
	return Value{}
}

// forms are the functions that don't evaluate all of their arguments first,
// or that read the record or the clock.
var forms map[string]func(args []node) (node, error)

func init() {
	forms = map[string]func([]node) (node, error){
		"IF":           ifForm,
		"SWITCH":       switchForm,
		"AND":          func(a []node) (node, error) { return logicForm(a, false) },
		"OR":           func(a []node) (node, error) { return logicForm(a, true) },
		"ISERROR":      isErrorForm,
		"RECORD_ID":    rowForm(func(e *env) Value { return Str(e.row.ID()) }),
		"CREATED_TIME": rowForm(func(e *env) Value { return Millis(e.row.Created(), false) }),
		"NOW":          rowForm(func(e *env) Value { return Millis(e.now.UnixMilli(), false) }),
		"FROMNOW":      distanceForm,
		"TONOW":        distanceForm,
		"TODAY": rowForm(func(e *env) Value {
			return Millis(truncate(e.now, "day").UnixMilli(), true)
		}),
	}
}

// distanceForm says in words how far a date is from now: FROMNOW and TONOW say the same.
func distanceForm(args []node) (node, error) {
	if len(args) != 1 {
		return node{}, ErrSyntax
	}
	return node{depth: args[0].depth + 1, eval: func(e *env) Value {
		v := args[0].eval(e)
		if v.kind == Blank {
			return Value{}
		}
		ms, ok := v.instant()
		if !ok {
			return Failed
		}
		return Str(distance(e.now.Sub(time.UnixMilli(ms))))
	}}, nil
}

func rowForm(eval func(*env) Value) func([]node) (node, error) {
	return func(args []node) (node, error) {
		if len(args) != 0 {
			return node{}, ErrSyntax
		}
		return node{eval: eval, depth: 1}, nil
	}
}

func ifForm(args []node) (node, error) {
	if len(args) < 2 || len(args) > 3 {
		return node{}, ErrSyntax
	}
	return combine(func(e *env) Value {
		c := args[0].eval(e)
		switch {
		case c.kind == Error:
			return Failed
		case c.Truthy():
			return args[1].eval(e)
		case len(args) == 3:
			return args[2].eval(e)
		}
		return Value{}
	}, args...)
}

func switchForm(args []node) (node, error) {
	if len(args) < 3 {
		return node{}, ErrSyntax
	}
	return combine(func(e *env) Value {
		v := args[0].eval(e)
		if v.kind == Error {
			return Failed
		}
		i := 1
		for ; i+1 < len(args); i += 2 {
			if Equal(v, args[i].eval(e)) {
				return args[i+1].eval(e)
			}
		}
		if i < len(args) {
			return args[i].eval(e)
		}
		return Value{}
	}, args...)
}

// logicForm is AND, or OR when stop is true: it stops at the first argument
// whose truth is stop. Lists count as true if any element is there.
func logicForm(args []node, stop bool) (node, error) {
	if len(args) == 0 {
		return node{}, ErrSyntax
	}
	return combine(func(e *env) Value {
		for i := range args {
			v := args[i].eval(e)
			if v.kind == Error {
				return Failed
			}
			if v.Truthy() == stop {
				return Truth(stop)
			}
		}
		return Truth(!stop)
	}, args...)
}

func isErrorForm(args []node) (node, error) {
	if len(args) != 1 {
		return node{}, ErrSyntax
	}
	return combine(func(e *env) Value { return Truth(args[0].eval(e).kind == Error) }, args...)
}

// function is a function of its arguments' values. max is -1 for any number.
type function struct {
	min, max int
	call     func(args []Value) Value
	// prepare, if set, makes call once the constant arguments are known.
	prepare func(args []node) func([]Value) Value
}

// bind evaluates the arguments on the environment's stack; an error among them is the result.
func (f function) bind(args []node) func(*env) Value {
	call := f.call
	if f.prepare != nil {
		call = f.prepare(args)
	}
	args = slices.Clone(args)
	return func(e *env) Value {
		base := len(e.args)
		for i := range args {
			v := args[i].eval(e)
			if v.kind == Error {
				e.args = e.args[:base]
				return Failed
			}
			e.args = append(e.args, v)
		}
		v := call(e.args[base:])
		e.args = e.args[:base]
		return v
	}
}
