package airtabletest

import (
	"bytes"
	"encoding/json"
	"slices"
	"strings"
)

// specification says which changes a webhook reports, and how.
// https://airtable.com/developers/web/api/model/webhooks-specification
type specification struct {
	Options struct {
		Filters  filters  `json:"filters"`
		Includes includes `json:"includes"`
	} `json:"options"`
}

type filters struct {
	DataTypes         []string `json:"dataTypes"`
	RecordChangeScope string   `json:"recordChangeScope"`
	ChangeTypes       []string `json:"changeTypes"`
	FromSources       []string `json:"fromSources"`
	WatchData         []string `json:"watchDataInFieldIds"`
	WatchSchemas      []string `json:"watchSchemasOfFieldIds"`
	SourceOptions     *struct {
		FormSubmission *struct {
			ViewID string `json:"viewId"`
		} `json:"formSubmission"`
		FormPageSubmission *struct {
			PageID string `json:"pageId"`
		} `json:"formPageSubmission"`
	} `json:"sourceOptions"`
}

type includes struct {
	CellValues     fieldSet `json:"includeCellValuesInFieldIds"`
	PreviousCells  bool     `json:"includePreviousCellValues"`
	PreviousFields bool     `json:"includePreviousFieldDefinitions"`
}

// fieldSet is "all" or a list of field ids.
type fieldSet struct {
	all bool
	ids []string
}

func (f *fieldSet) UnmarshalJSON(b []byte) error {
	if string(b) == `"all"` {
		*f = fieldSet{all: true}
		return nil
	}
	return json.Unmarshal(b, &f.ids)
}

func (f fieldSet) given() bool             { return f.all || f.ids != nil }
func (f fieldSet) contains(id string) bool { return f.all || slices.Contains(f.ids, id) }

var (
	dataTypes   = []string{"tableData", "tableFields", "tableMetadata"}
	changeTypes = []string{"add", "remove", "update"}
	fromSources = []string{sourceClient, sourceAPI, "formSubmission", "formPageSubmission", "automation", "system", "sync", "anonymousUser", "unknown"}
)

// maxWatched bounds the lists of a specification; the sandbox's own limit.
const maxWatched = 1000

func invalidFilters(format string, args ...any) *apiError {
	return unprocessable("INVALID_FILTERS", format, args...)
}

// parseSpecification validates a specification against the base.
func parseSpecification(raw []byte, in *base) (*specification, *apiError) {
	d := json.NewDecoder(bytes.NewReader(raw))
	d.DisallowUnknownFields()
	spec := &specification{}
	if err := d.Decode(spec); err != nil {
		return nil, errParameters
	}
	f := &spec.Options.Filters
	if len(f.DataTypes) == 0 {
		return nil, invalidFilters("filters.dataTypes takes at least one of %v", dataTypes)
	}
	for _, list := range []struct {
		name           string
		given, allowed []string
	}{
		{"dataTypes", f.DataTypes, dataTypes},
		{"changeTypes", f.ChangeTypes, changeTypes},
		{"fromSources", f.FromSources, fromSources},
	} {
		for _, v := range list.given {
			if !slices.Contains(list.allowed, v) {
				return nil, invalidFilters("filters.%s takes %v, not %q", list.name, list.allowed, v)
			}
		}
	}
	if scope := f.RecordChangeScope; scope != "" && !slices.ContainsFunc(in.tables, func(t *table) bool { return scope == t.id || scope == t.viewID }) {
		return nil, invalidFilters("filters.recordChangeScope: there is no table or view %q", scope)
	}
	if o := f.SourceOptions; o != nil {
		if p := o.FormSubmission; p != nil && !strings.HasPrefix(p.ViewID, "viw") {
			return nil, invalidFilters("filters.sourceOptions.formSubmission.viewId is no view")
		}
		if p := o.FormPageSubmission; p != nil && !strings.HasPrefix(p.PageID, "pag") {
			return nil, invalidFilters("filters.sourceOptions.formPageSubmission.pageId is no page")
		}
	}
	for _, list := range []struct {
		name string
		ids  []string
	}{
		{"filters.watchDataInFieldIds", f.WatchData},
		{"filters.watchSchemasOfFieldIds", f.WatchSchemas},
		{"includes.includeCellValuesInFieldIds", spec.Options.Includes.CellValues.ids},
	} {
		if len(list.ids) > maxWatched {
			return nil, invalidFilters("%s takes %d fields", list.name, maxWatched)
		}
		for _, id := range list.ids {
			if in.fieldByID(id) == nil {
				return nil, invalidFilters("%s: there is no field %q", list.name, id)
			}
		}
	}
	return spec, nil
}

// fieldByID finds a field by its id alone, as webhooks do; nil if there is none.
func (t *table) fieldByID(id string) *column {
	for _, c := range t.columns {
		if !c.deleted && c.ID == id {
			return c
		}
	}
	return nil
}

// sees reports whether the filters let a change of this source through.
func (f *filters) sees(source string) bool {
	return len(f.FromSources) == 0 || slices.Contains(f.FromSources, source)
}

// wants reports whether changes of this type to this kind of data are asked for.
func (f *filters) wants(dataType, changeType string) bool {
	return slices.Contains(f.DataTypes, dataType) &&
		(len(f.ChangeTypes) == 0 || slices.Contains(f.ChangeTypes, changeType))
}

func watches(ids []string, id string) bool { return len(ids) == 0 || slices.Contains(ids, id) }
