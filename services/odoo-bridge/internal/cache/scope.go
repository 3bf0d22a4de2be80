package cache

import (
	"context"
	"encoding/json"

	"github.com/resonance/resonance/pkg/rpc/odooapi"
	"github.com/resonance/resonance/services/odoo-bridge/internal/resource"
)

const termsKey = ".terms"

// Scope resolves on whose terms a request is answered. The terms are remembered in the journal's bucket,
// so that an instance that starts while Odoo is away can answer too.
func (c *Cache) Scope(ctx context.Context, asked odooapi.Scope) (resource.Scope, error) {
	terms, err := c.cfg.Terms(ctx, asked.Company)
	if err == nil {
		c.rememberTerms(terms)
		return terms.Scope(asked)
	}
	if !isUnavailable(err) {
		return resource.Scope{}, err
	}
	if known := c.knownTerms(ctx); known != nil {
		return known.Scope(asked)
	}
	return resource.Scope{}, err
}

// rememberTerms writes the terms down where they are new. Nobody waits for it.
func (c *Cache) rememberTerms(terms resource.Terms) {
	known := c.terms.Load()
	kv := c.bucket()
	if kv == nil || known != nil && known.Equal(terms) {
		return
	}
	data, err := json.Marshal(terms)
	if err != nil || !c.terms.CompareAndSwap(known, &terms) {
		return
	}
	select {
	case c.writes <- shared{kv: kv, key: c.cfg.Namespace + termsKey, data: data}:
	default:
		c.terms.CompareAndSwap(&terms, nil) // with the next request
	}
}

func (c *Cache) knownTerms(ctx context.Context) *resource.Terms {
	if known := c.terms.Load(); known != nil {
		return known
	}
	kv := c.bucket()
	if kv == nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, quickTimeout/2)
	defer cancel()
	entry, err := kv.Get(ctx, c.cfg.Namespace+termsKey)
	if err != nil {
		return nil
	}
	terms := &resource.Terms{}
	if json.Unmarshal(entry.Value(), terms) != nil {
		return nil
	}
	return terms
}
