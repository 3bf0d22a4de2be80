package odoo

import (
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/resonance/resonance/pkg/fault"
)

// Reason is why Odoo refused a call.
type Reason string

// Reasons.
const (
	Denied  Reason = "denied"  // unknown user or wrong password
	NoRight Reason = "access"  // a known user who may not
	Missing Reason = "missing" // no such record
	Invalid Reason = "invalid" // a user or validation error: Message is for people
	Unknown Reason = "unknown" // no such model, method or field in this Odoo
	Broken  Reason = "broken"  // an exception in Odoo
)

// RefusalError is what Odoo says instead of an answer.
type RefusalError struct {
	Reason  Reason
	Message string // Odoo's sentence, in the language of the call; for people only where Reason is Invalid
	Field   string // Odoo's name of the field at fault; "": not told
	ID      int64  // of the record that is Missing, which may be one that is linked to; 0: not told
}

// Error is for the log.
func (r *RefusalError) Error() string { return "Odoo refused (" + string(r.Reason) + "): " + r.Message }

// IsReason reports whether err is a RefusalError for that reason.
func IsReason(err error, reason Reason) bool {
	var r *RefusalError
	return errors.As(err, &r) && r.Reason == reason
}

var (
	// errAway is wrapped when no whole answer of Odoo's came.
	errAway = errors.New("no answer from Odoo")
	// errContended is wrapped when Odoo took a call back, since others wrote the same rows.
	errContended = errors.New("others write the same")
	// errDenied is wrapped when Odoo does not take our own credentials.
	errDenied = errors.New("Odoo does not take ODOO_USERNAME and ODOO_PASSWORD for ODOO_DB")
)

// ErrOutcomeUnknown is wrapped by the error of a call that may have changed something: no whole answer came.
var ErrOutcomeUnknown = errors.New("whether Odoo made the change is unknown")

// IsContended reports that Odoo took a call back, since others wrote the same: it may succeed when repeated.
func IsContended(err error) bool { return errors.Is(err, errContended) }

// contention is the error of a call that Odoo took back.
func contention(text string) *fault.Error {
	return away(fmt.Errorf("%w: %s", errContended, clip(text)), time.Second)
}

func isAway(err error) bool { return errors.Is(err, errAway) || errors.Is(err, errDenied) }

func away(err error, retry time.Duration) *fault.Error {
	f := fault.Away("Odoo", fmt.Errorf("%w: %w", errAway, err))
	f.RetryAfter = retry
	return f
}

// ours is for what only the operator can mend: clients are not told that credentials are involved.
func ours(err error) *fault.Error {
	return &fault.Error{
		Code:       fault.Unavailable,
		Detail:     fault.T("Odoo no acepta la conexión de Resonance; avise a su administrador", "Odoo does not accept Resonance's connection; tell your administrator"),
		RetryAfter: 30 * time.Second,
		Err:        err,
	}
}

// tooSlow is for a caller whose time is over while Odoo works on.
func tooSlow(c Call, err error) *fault.Error {
	return &fault.Error{
		Code: fault.Unavailable, Detail: fault.T("Odoo tarda demasiado en contestar", "Odoo takes too long to answer"),
		RetryAfter: time.Second, Err: fmt.Errorf("%s.%s: %w: %w", c.Model, c.Method, errTooSlow, err),
	}
}

var errTooSlow = errors.New("no answer in time")

// Codes of XML-RPC faults, from odoo/addons/rpc (base before 19).
const (
	codeException = 1
	codeUser      = 2
	codeDenied    = 3
	codeAccess    = 4
)

// refusal classifies a fault of XML-RPC. It is nil for a method that returned None: the change is
// committed before the answer turns out not to be expressible.
func refusal(code int, text string) error {
	switch code {
	case codeDenied:
		return &RefusalError{Reason: Denied, Message: clip(text)}
	case codeAccess:
		return &RefusalError{Reason: NoRight, Message: clip(text)}
	case codeUser:
		return userError(text)
	case codeException:
	}
	if strings.Contains(text, "cannot marshal None") {
		return nil
	}
	return exception(text)
}

// exception classifies what has no class of its own but a traceback.
func exception(text string) error {
	last := lastLine(text)
	switch {
	case strings.Contains(text, "OperationalError") && strings.Contains(text, "does not exist"):
		return ours(fmt.Errorf("%w: %s", errDenied, last))
	case contended.MatchString(last):
		return contention(last) // Odoo has tried five times by itself
	case strings.Contains(text, "OperationalError"), strings.Contains(text, "InterfaceError"):
		return away(errors.New(last), time.Second) // it lost its Postgres
	}
	if unknown.MatchString(last) {
		return &RefusalError{Reason: Unknown, Message: last}
	}
	return &RefusalError{Reason: Broken, Message: last}
}

// Refusal classifies a message of the method load, which has no code: a *RefusalError, or for contention a fault.
func Refusal(text, field string) error {
	if pythonClass.MatchString(text) {
		return exception(text)
	}
	err := userError(text)
	if r, ok := errors.AsType[*RefusalError](err); ok {
		r.Field = field
	}
	return err
}

// pythonClass is in the messages of load that are no sentence of Odoo's: "Unknown error during import: <class 'KeyError'>: 'x'".
var pythonClass = regexp.MustCompile(`<class '[\w.]+'>`)

// userError tells a missing record from other things a person can be told.
func userError(text string) error {
	if m := missing.FindStringSubmatch(text); m != nil {
		id, err := strconv.ParseInt(m[1], 10, 32)
		if err != nil {
			id = 0
		}
		return &RefusalError{Reason: Missing, Message: clip(text), ID: id}
	}
	switch {
	case contended.MatchString(text):
		return contention(text)
	case unknown.MatchString(text):
		return &RefusalError{Reason: Unknown, Message: clip(text)}
	case internals.MatchString(text): // never shown to people (invariant 9)
		return &RefusalError{Reason: Broken, Message: lastLine(text)}
	}
	if m := redirect.FindStringSubmatch(text); m != nil {
		text = unquote.Replace(m[1] + m[2])
	}
	return &RefusalError{Reason: Invalid, Message: clip(strings.TrimSpace(text))}
}

var (
	// "(Record: res.partner(7,), User: 2)", in any language.
	missing = regexp.MustCompile(`[ :][a-z_0-9]+(?:\.[a-z_0-9]+)+\((\d+),\)`)
	// A RedirectWarning is written as Python's tuple of a sentence, an action and a button.
	redirect  = regexp.MustCompile(`^\((?:'((?:[^'\\]|\\.)*)'|"((?:[^"\\]|\\.)*)"), [{\d]`)
	unquote   = strings.NewReplacer(`\n`, "\n", `\'`, "'", `\"`, `"`, `\\`, `\`)
	contended = regexp.MustCompile(`(?i)could not (serialize|obtain lock)|deadlock detected|LockNotAvailable|lock timeout`)
	unknown   = regexp.MustCompile(`^Object \S+ doesn't exist|NotFound: |AttributeError: (The method '\S+' does not exist|(type object )?'[a-z_0-9]+(\.[a-z_0-9]+)+' (object )?has no attribute)|Invalid field|^KeyError: '`)
	internals = regexp.MustCompile(`Traceback|psycopg|File "|(?s)\b(SELECT|INSERT INTO|UPDATE|DELETE FROM)\b.*\b(FROM|VALUES|SET|WHERE)\b`)
)

func lastLine(text string) string {
	text = strings.TrimSpace(text)
	return clip(strings.TrimSpace(text[strings.LastIndexByte(text, '\n')+1:]))
}

// clip bounds foreign text that ends up in logs and answers.
func clip(s string) string {
	const most = 500
	if r := []rune(s); len(r) > most {
		return string(r[:most]) + "…"
	}
	return s
}
