package airtabletest

import (
	"encoding/json"
	"fmt"
	"slices"
)

// collaborator is a person as cells and comments show one.
type collaborator struct {
	ID    string `json:"id"`
	Email string `json:"email"`
	Name  string `json:"name,omitempty"`
}

func collaboratorOf(u User) collaborator { return collaborator{u.ID, u.Email, u.Name} }

// person is the one collaborator of that id, who is known from now on: cells can be compared by address.
func (b *base) person(c collaborator) *collaborator {
	if b.people == nil {
		b.people = map[string]*collaborator{}
	}
	known := b.people[c.ID]
	if known == nil {
		known = &c
		b.people[c.ID] = known
	}
	return known
}

// AddCollaborator gives a person access to the base: cells and comments can name who has it.
func (s *Server) AddCollaborator(u User) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.base.person(collaboratorOf(u))
}

// parseCollaborators reads {"id"} or {"email"}, or a list of those, of people with access to the base.
func (c *column) parseCollaborators(v any) (cell, *apiError) {
	list, many := v.([]any)
	if many != (c.Type == MultipleCollaborators) {
		return nil, c.refuse()
	}
	if !many {
		list = []any{v}
	}
	people := make([]*collaborator, 0, len(list))
	for _, e := range list {
		o, _ := e.(map[string]any)
		p := c.owner.base.collaborator(o["id"], o["email"])
		if p == nil {
			return nil, c.refuse()
		}
		if !slices.Contains(people, p) {
			people = append(people, p)
		}
	}
	if len(people) == 0 {
		return nil, nil
	}
	return people, nil
}

// collaborator finds who has that id or e-mail address.
func (b *base) collaborator(id, email any) *collaborator {
	if s, ok := id.(string); ok {
		return b.people[s]
	}
	for _, p := range b.people {
		if p.Email == email && p.Email != "" {
			return p
		}
	}
	return nil
}

// restoreCollaborators reads a cell of Config.File.
func (c *column) restoreCollaborators(v any) (cell, error) {
	var saved []collaborator
	raw := mustJSON(v)
	if raw[0] == '{' {
		raw = append(append([]byte{'['}, raw...), ']')
	}
	if err := json.Unmarshal(raw, &saved); err != nil {
		return nil, fmt.Errorf("collaborators of field %q: %w", c.Name, err)
	}
	people := make([]*collaborator, len(saved))
	for i, p := range saved {
		people[i] = c.owner.base.person(p)
	}
	return people, nil
}

func (c *column) appendCollaborators(dst []byte, people []*collaborator) []byte {
	if c.Type == SingleCollaborator {
		return append(dst, mustJSON(people[0])...)
	}
	return append(dst, mustJSON(people)...)
}
