package cache

import (
	"context"
	"encoding/json"

	"github.com/resonance/resonance/pkg/rpc"
	"github.com/resonance/resonance/services/odoo-bridge/internal/resource"
)

// maxScopes bounds the scopes remembered as shared.
const maxScopes = 1000

// Scope resolves on whose terms a request is answered, and remembers it: an instance that starts
// while Odoo is away can answer too.
func (c *Cache) Scope(ctx context.Context, asked rpc.OdooScope) (resource.Scope, error) {
	scope, err := c.cfg.Scope(ctx, asked)
	kv := c.bucket()
	if kv == nil || err != nil && !isAway(err) {
		return scope, err
	}
	name := c.cfg.Namespace + "." + keyOf("scope", "of", asked.Company, asked.Lang).String()
	if err == nil {
		c.rememberScope(ctx, name, asked, scope)
		return scope, nil
	}
	entry, missing := kv.Get(ctx, name)
	if missing != nil || json.Unmarshal(entry.Value(), &scope) != nil {
		return scope, err
	}
	return scope, nil
}

func (c *Cache) rememberScope(ctx context.Context, name string, asked rpc.OdooScope, scope resource.Scope) {
	c.scopesMu.Lock()
	was, known := c.scopes[asked]
	if len(c.scopes) >= maxScopes {
		clear(c.scopes)
	}
	c.scopes[asked] = scope
	c.scopesMu.Unlock()
	if known && was == scope {
		return
	}
	kv := c.bucket()
	data, err := json.Marshal(scope)
	if kv == nil || err != nil {
		return
	}
	if _, err := kv.Put(ctx, name, data); err != nil {
		c.cfg.Log.Debug("not shared", "key", name, "error", err)
	}
}
