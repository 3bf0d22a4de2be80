package odoo

import (
	"context"
	"errors"
	"fmt"

	"github.com/resonance/resonance/pkg/fault"
	"github.com/resonance/resonance/pkg/rpc"
)

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
// passwords. Odoo slows down an address that guesses, and to Odoo every user comes from ours.
func (c *Client) Login(ctx context.Context, who rpc.OdooCredentials) (rpc.OdooUser, error) {
	if who.Username == "" || who.Password == "" || len(who.Username)+len(who.Password) > 2000 {
		return rpc.OdooUser{}, notKnown(nil)
	}
	answer, err := c.guarded(ctx, Call{Model: "res.users", Method: "authenticate", Read: true}, func(ctx context.Context) (any, error) {
		return c.login(ctx, who)
	})
	if err != nil {
		if IsReason(err, Denied) {
			return rpc.OdooUser{}, notKnown(err)
		}
		if f, ok := errors.AsType[*fault.Error](err); ok {
			return rpc.OdooUser{}, f
		}
		return rpc.OdooUser{}, fault.Away("Odoo", err)
	}
	user, _ := answer.(rpc.OdooUser)
	if user.Role == "" {
		return rpc.OdooUser{}, fault.New(fault.Forbidden, fault.T(
			"Este usuario no es un usuario interno de Odoo", "This user is no internal user of Odoo"))
	}
	return user, nil
}

func notKnown(err error) error {
	return fault.Wrap(fault.Unauthenticated, fault.T("Usuario o contraseña incorrectos", "Wrong username or password"), err)
}

func (c *Client) login(ctx context.Context, who rpc.OdooCredentials) (any, error) {
	uid, err := c.xml.login(ctx, who.Username, who.Password)
	if err != nil {
		return nil, err
	}
	user := rpc.OdooUser{UID: uid}
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
