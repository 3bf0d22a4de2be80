package odoo

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/resonance/resonance/pkg/fault"
	"github.com/resonance/resonance/pkg/rpc/odooapi"
)

const (
	cooldown    = time.Minute // how long Odoo refuses every password of an address that guesses
	guessBurst  = 30          // wrong passwords of all users together, and one more after each refill
	guessRefill = 2 * time.Second
)

// guesses bounds the wrong passwords that reach Odoo in all, which a distributed attack could try.
type guesses struct {
	mu   sync.Mutex
	full time.Time // when all of the burst is there again
}

func (g *guesses) allowed() bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	return time.Until(g.full) <= (guessBurst-1)*guessRefill
}

func (g *guesses) count() {
	g.mu.Lock()
	defer g.mu.Unlock()
	if now := time.Now(); g.full.Before(now) {
		g.full = now
	}
	g.full = g.full.Add(guessRefill)
}

// roles in the order they are tried, by the groups that give them.
var roles = []struct {
	role   string
	groups []string
}{
	{"admin", []string{"base.group_system"}},
	{"operator", []string{"sales_team.group_sale_salesman", "purchase.group_purchase_user", "stock.group_stock_user"}},
	{"viewer", []string{"base.group_user"}},
}

// Login checks the credentials of one of Odoo's users; Unauthenticated when they are not good,
// Forbidden for users without access to Odoo's backend. It speaks XML-RPC, since JSON-2 takes no
// passwords. TooMany while Odoo takes no password from our address.
//
// Odoo refuses every password from an address that gave five wrong ones in a row (ten in 14), the right ones too, and to
// it all users come from ours. So after a wrong password, and before the next one is tried, our own is given: that begins
// the count anew. If Odoo refuses ours as well, the address is locked, and nobody tries for a minute.
func (c *Client) Login(ctx context.Context, who odooapi.Credentials) (odooapi.User, error) {
	if who.Username == "" || who.Password == "" || len(who.Username)+len(who.Password) > 2000 {
		return odooapi.User{}, notKnown(nil)
	}
	if wait := time.Until(time.Unix(0, c.lockedUntil.Load())); wait > 0 {
		return odooapi.User{}, locked(wait)
	}
	if !c.guesses.allowed() {
		return odooapi.User{}, tooManyGuesses()
	}
	answer, err := c.identified(ctx, who)
	if err != nil {
		if IsReason(err, Denied) {
			return odooapi.User{}, notKnown(err)
		}
		if f, ok := errors.AsType[*fault.Error](err); ok {
			return odooapi.User{}, f
		}
		return odooapi.User{}, fault.Away("Odoo", err)
	}
	user, _ := answer.(odooapi.User)
	if user.Role == "" {
		return odooapi.User{}, fault.New(fault.Forbidden, fault.T(
			"Este usuario no es un usuario interno de Odoo", "This user is no internal user of Odoo"))
	}
	return user, nil
}

func notKnown(err error) error {
	return fault.Wrap(fault.Unauthenticated, fault.T("Usuario o contraseña incorrectos", "Wrong username or password"), err)
}

func locked(wait time.Duration) error {
	return &fault.Error{
		Code: fault.TooMany, RetryAfter: wait, Detail: textLocked,
	}
}

func tooManyGuesses() error {
	return &fault.Error{
		Code: fault.TooMany, RetryAfter: guessRefill,
		Detail: fault.T("Demasiadas contraseñas equivocadas; espere un momento", "Too many wrong passwords; wait a moment"),
	}
}

// identified gives the user whose credentials these are.
func (c *Client) identified(ctx context.Context, who odooapi.Credentials) (any, error) {
	call := Call{Model: "res.users", Method: "authenticate", Read: true}
	select {
	case c.attempt <- struct{}{}: // one password at a time
	case <-ctx.Done():
		return nil, tooSlow(call, ctx.Err())
	}
	answer, err := c.guarded(ctx, call, func(ctx context.Context) (any, error) { return c.identify(ctx, who) })
	<-c.attempt
	if err != nil {
		return nil, err
	}
	uid, _ := answer.(int64)
	return c.guarded(ctx, call, func(ctx context.Context) (any, error) { return c.describe(ctx, uid, who) })
}

// identify gives the id of a user.
func (c *Client) identify(ctx context.Context, who odooapi.Credentials) (any, error) {
	uid, err := c.xml.login(ctx, who.Username, who.Password)
	if !IsReason(err, Denied) {
		return uid, err
	}
	c.guesses.count()
	_, own := c.xml.login(ctx, c.cfg.Username, c.cfg.Password)
	if IsReason(own, Denied) {
		c.lockedUntil.Store(time.Now().Add(cooldown).UnixNano())
		c.cfg.Log.Warn("Odoo logins locked", "wait", cooldown)
		return nil, locked(cooldown)
	}
	return nil, err
}

// describe reads what a user is called and may do.
func (c *Client) describe(ctx context.Context, uid int64, who odooapi.Credentials) (any, error) {
	user := odooapi.User{UID: uid}
	answer, err := c.xml.execute(ctx, uid, who.Password, Call{
		Model: "res.users", Method: "read", IDs: []int64{uid}, Args: []Arg{{Name: "fields", Value: []any{"name"}}},
	})
	if err != nil {
		return nil, err
	}
	if list, ok := answer.([]any); ok && len(list) == 1 {
		row, _ := list[0].(map[string]any)
		user.Name, _ = row["name"].(string)
	}
	for _, r := range roles {
		for _, group := range r.groups {
			has, err := c.hasGroup(ctx, uid, who.Password, group)
			if err != nil {
				return nil, fmt.Errorf("group %s: %w", group, err)
			}
			if has {
				user.Role = r.role
				return user, nil
			}
		}
	}
	return user, nil
}

// hasGroup asks a record from Odoo 18 on, and the model before.
func (c *Client) hasGroup(ctx context.Context, uid int64, password, group string) (bool, error) {
	call := Call{Model: "res.users", Method: "has_group", IDs: []int64{uid}, Args: []Arg{{Name: "group_ext_id", Value: group}}}
	answer, err := c.xml.execute(ctx, uid, password, call)
	if IsReason(err, Broken) || IsReason(err, Unknown) {
		call.IDs = nil
		answer, err = c.xml.execute(ctx, uid, password, call)
	}
	return answer == true, err
}
