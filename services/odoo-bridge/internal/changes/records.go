package changes

import (
	"context"

	"github.com/resonance/resonance/pkg/erp"
	"github.com/resonance/resonance/pkg/event"
	"github.com/resonance/resonance/services/odoo-bridge/internal/cache"
)

func (w *activePoller) touch(name string, list []int64) {
	if w.touched[name] == nil {
		w.touched[name] = ids{}
	}
	for _, id := range list {
		w.touched[name][id] = struct{}{}
	}
}

// reconcile makes the known records those there are.
func (w *activePoller) reconcile(name string, there ids) {
	known := w.state.Known[name]
	for id := range there {
		if !known.has(id) {
			w.queueEvent(name, id, event.Created)
			w.invalidate(name, cache.Change{IDs: []int64{id}})
		}
	}
	for id := range known {
		if !there.has(id) {
			w.queueEvent(name, id, event.Deleted)
			w.invalidate(name, cache.Change{IDs: []int64{id}})
		}
	}
}

// queueEvent queues an event to be published.
func (w *activePoller) queueEvent(name string, id int64, what event.Change) {
	known, pending := w.state.Known[name], w.pending[name]
	if pending == nil {
		pending = map[int64]event.Change{}
		w.pending[name] = pending
	}
	w.dirty = true
	switch {
	case what == event.Deleted:
		delete(known, id)
	case what == event.Created:
		known[id] = struct{}{}
	case pending[id] == event.Created: // it still is news
		return
	}
	pending[id] = what
}

// resolveTouched queues events of what became of the touched records.
func (w *activePoller) resolveTouched(ctx context.Context, name string) error {
	touched, known := w.touched[name], w.state.Known[name]
	var asked []int64 // new, or no longer of this resource, or never, as a partner who is no supplier
	for id := range touched {
		if erp.Named(name).Filter() || !known.has(id) {
			asked = append(asked, id)
		}
	}
	members := ids{}
	if len(asked) > 0 {
		list, err := w.odoo.Members(ctx, name, asked)
		if err != nil {
			return err
		}
		members = setOf(list)
	}
	for id := range touched {
		switch is := members.has(id); {
		case known.has(id) && erp.Named(name).Filter() && !is:
			w.queueEvent(name, id, event.Deleted)
		case known.has(id):
			if w.pending[name][id] != event.Created {
				w.queueEvent(name, id, event.Updated)
			}
		case is:
			w.queueEvent(name, id, event.Created)
		}
	}
	delete(w.touched, name)
	return nil
}

// hasPending reports whether there are events to publish.
func (w *activePoller) hasPending() bool {
	n := 0
	for _, r := range erp.Resources {
		n += len(w.pending[r.Name])
	}
	pendingEvents.Set(float64(n))
	return w.state != nil && (n > 0 || len(w.touched) > 0)
}
