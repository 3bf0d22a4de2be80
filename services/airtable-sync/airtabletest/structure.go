package airtabletest

import (
	"net/http"
	"slices"
	"strings"
)

// This file is the part of the metadata API that changes the table: fields are created, and fields and the table
// renamed and described. https://airtable.com/developers/web/api/create-field

// creatable are the types that Airtable's API makes fields of; it makes no formulas.
var creatable = []string{
	SingleLineText, MultilineText, Email, URL, PhoneNumber, SingleSelect, MultipleSelects, Number, Percent, Currency, Checkbox,
	DateField, DateTime, MultipleAttachments, SingleCollaborator, MultipleCollaborators,
}

// requiredOptions are what Airtable does not make up.
var requiredOptions = map[string][]string{
	SingleSelect: {"choices"}, MultipleSelects: {"choices"}, Number: {"precision"}, Percent: {"precision"}, Currency: {"precision", "symbol"},
	Checkbox: {"icon", "color"}, DateField: {"dateFormat"}, DateTime: {"dateFormat", "timeFormat", "timeZone"},
}

// structure routes what is below /v0/meta/bases/{base}/tables/{table}.
func (s *Server) structure(req *request, rest []string) {
	switch {
	case len(rest) == 0 && req.http.Method == http.MethodPatch:
		req.handle = s.updateTable
	case len(rest) == 1 && rest[0] == "fields" && req.http.Method == http.MethodPost:
		req.handle = s.createField
	case len(rest) == 2 && rest[0] == "fields" && req.http.Method == http.MethodPatch:
		req.field, req.handle = rest[1], s.updateField
	}
	req.writes = true
}

func (s *Server) createField(r *request) reply {
	var b struct {
		Name        string `json:"name"`
		Type        string `json:"type"`
		Description string `json:"description"`
		Options     *struct {
			Precision  *int    `json:"precision"`
			Symbol     *string `json:"symbol"`
			Icon       any     `json:"icon"`
			Color      any     `json:"color"`
			DateFormat any     `json:"dateFormat"`
			TimeFormat any     `json:"timeFormat"`
			TimeZone   *string `json:"timeZone"`
			Choices    []struct {
				Name string `json:"name"`
			} `json:"choices"`
		} `json:"options"`
	}
	if fail := decode(r.body, &b); fail != nil {
		return errorReply(fail)
	}
	if !slices.Contains(creatable, b.Type) {
		return errorReply(unprocessable("UNSUPPORTED_FIELD_TYPE_FOR_CREATE", "Creating %s fields is not supported at this time", b.Type))
	}
	given := map[string]bool{}
	f := Field{Name: b.Name, Type: b.Type, Description: b.Description}
	if o := b.Options; o != nil {
		given = map[string]bool{
			"precision": o.Precision != nil, "symbol": o.Symbol != nil, "icon": o.Icon != nil, "color": o.Color != nil, "choices": len(o.Choices) > 0,
			"dateFormat": o.DateFormat != nil, "timeFormat": o.TimeFormat != nil, "timeZone": o.TimeZone != nil,
		}
		if o.Precision != nil {
			f.Precision = *o.Precision
		}
		if o.Symbol != nil {
			f.Symbol = *o.Symbol
		}
		for _, c := range o.Choices {
			f.Choices = append(f.Choices, c.Name)
		}
	}
	for _, name := range requiredOptions[b.Type] {
		if !given[name] {
			return errorReply(unprocessable("INVALID_FIELD_TYPE_OPTIONS_FOR_CREATE", "Invalid options for %s.options: %s is missing", b.Name, name))
		}
	}
	var made object
	fail := s.restructure(r, func(tx *transaction, t *table) *apiError {
		if strings.TrimSpace(b.Name) == "" || t.lookup(b.Name) >= 0 {
			return errFieldName
		}
		if _, err := t.addField(f); err != nil {
			return invalidRequest("%v", err)
		}
		c := t.columns[len(t.columns)-1]
		tx.createdFields = append(tx.createdFields, c)
		made = t.schema(c)
		return nil
	})
	if fail != nil {
		return errorReply(fail)
	}
	return jsonReply(http.StatusOK, mustJSON(made))
}

var errFieldName = unprocessable("DUPLICATE_OR_EMPTY_FIELD_NAME", "The field name is empty, or another field has it")

// names is the body of an update of a field or of the table.
type names struct {
	Name        *string `json:"name"`
	Description *string `json:"description"`
}

func (r *request) names() (names, *apiError) {
	var b names
	if fail := decode(r.body, &b); fail != nil {
		return b, fail
	}
	if b == (names{}) || b.Name != nil && (strings.TrimSpace(*b.Name) == "" || len(*b.Name) > 255) || b.Description != nil && len(*b.Description) > 20_000 {
		return b, errParameters
	}
	return b, nil
}

func (s *Server) updateField(r *request) reply {
	b, fail := r.names()
	if fail != nil {
		return errorReply(fail)
	}
	var changed object
	fail = s.restructure(r, func(tx *transaction, t *table) *apiError {
		c := t.fieldByID(r.field)
		if c == nil {
			return errModel
		}
		if b.Name != nil {
			if i := t.lookup(*b.Name); i >= 0 && i != c.index {
				return errFieldName
			}
			tx.changedFields = append(tx.changedFields, fieldChange{c, c.Name, c.Type})
			c.rename(*b.Name)
		}
		if b.Description != nil {
			c.Description = *b.Description
		}
		changed = t.schema(c)
		return nil
	})
	if fail != nil {
		return errorReply(fail)
	}
	return jsonReply(http.StatusOK, mustJSON(changed))
}

func (s *Server) updateTable(r *request) reply {
	b, fail := r.names()
	if fail != nil {
		return errorReply(fail)
	}
	var changed object
	fail = s.restructure(r, func(tx *transaction, t *table) *apiError {
		if b.Name != nil {
			tx.previousName, t.name = t.name, *b.Name
		}
		if b.Description != nil {
			t.description = *b.Description
		}
		changed = t.describe(false)
		return nil
	})
	if fail != nil {
		return errorReply(fail)
	}
	return jsonReply(http.StatusOK, mustJSON(changed))
}

// restructure makes one change of the table that the path names, if the token may.
func (s *Server) restructure(r *request, do func(tx *transaction, t *table) *apiError) *apiError {
	if !s.may(SchemaWrite) || r.base != s.cfg.BaseID {
		return errModel
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if r.meta != s.table.id { // by its id alone
		return errModel
	}
	tx := s.begin(s.api())
	if fail := do(tx, s.table); fail != nil {
		return fail
	}
	tx.schema = true
	s.commit(tx)
	return nil
}
