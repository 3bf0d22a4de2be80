package airtabletest

import (
	"net/http"
	"slices"
	"strings"
)

// This file is the part of the metadata API that changes the base: tables and fields are created, renamed and described. https://airtable.com/developers/web/api/create-field

// creatable are the types that Airtable's API makes fields of; it makes no formulas.
var creatable = []string{
	SingleLineText, MultilineText, Email, URL, PhoneNumber, SingleSelect, MultipleSelects, Number, Percent, Currency, Checkbox,
	DateField, DateTime, MultipleAttachments, SingleCollaborator, MultipleCollaborators, MultipleRecordLinks,
}

// primaries are those of them that a table's first field may be of.
var primaries = []string{SingleLineText, MultilineText, Email, URL, PhoneNumber, Number, Percent, Currency, DateField, DateTime}

// requiredOptions are what Airtable does not make up.
var requiredOptions = map[string][]string{
	SingleSelect: {"choices"}, MultipleSelects: {"choices"}, Number: {"precision"}, Percent: {"precision"}, Currency: {"precision", "symbol"},
	Checkbox: {"icon", "color"}, DateField: {"dateFormat"}, DateTime: {"dateFormat", "timeFormat", "timeZone"},
	MultipleRecordLinks: {"linkedTableId"},
}

// structure routes what is below /v0/meta/bases/{base}/tables.
func (s *Server) structure(req *request, rest []string) {
	if len(rest) > 0 {
		req.meta = rest[0]
	}
	switch method := req.http.Method; {
	case len(rest) == 0 && method == http.MethodGet:
		req.handle = s.tables
	case len(rest) == 0 && method == http.MethodPost:
		req.handle = s.createTable
	case len(rest) == 1 && method == http.MethodPatch:
		req.handle = s.updateTable
	case len(rest) == 2 && rest[1] == "fields" && method == http.MethodPost:
		req.handle = s.createField
	case len(rest) == 3 && rest[1] == "fields" && method == http.MethodPatch:
		req.field, req.handle = rest[2], s.updateField
	}
}

// fieldConfig is a field to be made, as the API takes it.
type fieldConfig struct {
	Name        string `json:"name"`
	Type        string `json:"type"`
	Description string `json:"description"`
	Options     *struct {
		Precision   *int    `json:"precision"`
		Symbol      *string `json:"symbol"`
		Icon        any     `json:"icon"`
		Color       any     `json:"color"`
		DateFormat  any     `json:"dateFormat"`
		TimeFormat  any     `json:"timeFormat"`
		TimeZone    *string `json:"timeZone"`
		LinkedTable string  `json:"linkedTableId"`
		Choices     []struct {
			Name string `json:"name"`
		} `json:"choices"`
	} `json:"options"`
}

// field returns the field that the API asks for.
func (b *fieldConfig) field() (Field, *apiError) {
	f := Field{Name: b.Name, Type: b.Type, Description: b.Description}
	if !slices.Contains(creatable, b.Type) {
		return f, unprocessable("UNSUPPORTED_FIELD_TYPE_FOR_CREATE", "Creating %s fields is not supported at this time", b.Type)
	}
	given := map[string]bool{}
	if o := b.Options; o != nil {
		given = map[string]bool{
			"precision": o.Precision != nil, "symbol": o.Symbol != nil, "icon": o.Icon != nil, "color": o.Color != nil, "choices": len(o.Choices) > 0,
			"dateFormat": o.DateFormat != nil, "timeFormat": o.TimeFormat != nil, "timeZone": o.TimeZone != nil, "linkedTableId": o.LinkedTable != "",
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
		f.LinkedTable = o.LinkedTable
	}
	for _, name := range requiredOptions[b.Type] {
		if !given[name] {
			return f, unprocessable("INVALID_FIELD_TYPE_OPTIONS_FOR_CREATE", "Invalid options for %s.options: %s is missing", b.Name, name)
		}
	}
	return f, nil
}

func (s *Server) createField(r *request) reply {
	var b fieldConfig
	if fail := decode(r.body, &b); fail != nil {
		return errorReply(fail)
	}
	f, fail := b.field()
	if fail != nil {
		return errorReply(fail)
	}
	return s.changeTable(r, func(tx *transaction, t *table) (object, *apiError) {
		if strings.TrimSpace(b.Name) == "" || t.lookup(b.Name) >= 0 {
			return nil, errFieldName
		}
		c, err := tx.addField(t, f)
		if err != nil {
			return nil, invalidRequest("%v", err)
		}
		return t.schema(c), nil
	})
}

// createTable is https://airtable.com/developers/web/api/create-table
func (s *Server) createTable(r *request) reply {
	var b struct {
		Name        string        `json:"name"`
		Description string        `json:"description"`
		Fields      []fieldConfig `json:"fields"`
	}
	if fail := decode(r.body, &b); fail != nil {
		return errorReply(fail)
	}
	fields := make([]Field, len(b.Fields))
	for i := range b.Fields {
		f, fail := b.Fields[i].field()
		if fail != nil {
			return errorReply(fail)
		}
		if i == 0 && !slices.Contains(primaries, f.Type) {
			return errorReply(unprocessable("UNSUPPORTED_PRIMARY_FIELD_TYPE_FOR_CREATE", "%s fields cannot be primary fields", f.Type))
		}
		if strings.TrimSpace(f.Name) == "" || slices.ContainsFunc(fields[:i], func(o Field) bool { return strings.EqualFold(o.Name, f.Name) }) {
			return errorReply(errFieldName)
		}
		fields[i] = f
	}
	return s.restructure(r, func(tx *transaction) (object, *apiError) {
		if slices.ContainsFunc(s.base.tables, func(t *table) bool { return strings.EqualFold(t.name, b.Name) }) {
			return nil, errTableName
		}
		t, err := tx.addTable(b.Name, b.Description, fields)
		if err != nil {
			return nil, invalidRequest("%v", err)
		}
		return t.describe(false), nil
	})
}

var (
	errFieldName = unprocessable("DUPLICATE_OR_EMPTY_FIELD_NAME", "The field name is empty, or another field has it")
	errTableName = unprocessable("DUPLICATE_TABLE_NAME", "Another table has this name")
)

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
	return s.changeTable(r, func(tx *transaction, t *table) (object, *apiError) {
		c := t.fieldByID(r.field)
		if c == nil {
			return nil, errModel
		}
		if b.Name != nil {
			if i := t.lookup(*b.Name); i >= 0 && i != c.index {
				return nil, errFieldName
			}
			tx.rename(c, *b.Name)
		}
		if b.Description != nil {
			c.Description = *b.Description
		}
		return t.schema(c), nil
	})
}

func (s *Server) updateTable(r *request) reply {
	b, fail := r.names()
	if fail != nil {
		return errorReply(fail)
	}
	return s.changeTable(r, func(tx *transaction, t *table) (object, *apiError) {
		if b.Name != nil {
			if other := s.base.table(*b.Name); other != nil && other != t {
				return nil, errTableName
			}
			tx.of(t).previousName, t.name = t.name, *b.Name
		}
		if b.Description != nil {
			t.description = *b.Description
		}
		return t.describe(false), nil
	})
}

// changeTable makes one change of the table that the path names, by its id alone.
func (s *Server) changeTable(r *request, do func(tx *transaction, t *table) (object, *apiError)) reply {
	return s.restructure(r, func(tx *transaction) (object, *apiError) {
		t := s.base.tableByID(r.meta)
		if t == nil {
			return nil, errModel
		}
		tx.redescribes(t)
		return do(tx, t)
	})
}

// restructure makes one change of the base, if the token may, and answers what it left.
func (s *Server) restructure(r *request, do func(tx *transaction) (object, *apiError)) reply {
	if !s.may(SchemaWrite) || r.base != s.cfg.BaseID {
		return errorReply(errModel)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	tx := s.begin(s.api())
	left, fail := do(tx)
	if fail != nil {
		return errorReply(fail)
	}
	s.commit(tx)
	return jsonReply(http.StatusOK, mustJSON(left))
}
