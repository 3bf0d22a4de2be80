package odootest

import (
	_ "embed"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

//go:embed schema.txt
var schemaText string

// model is an Odoo model of one version with its modules.
type model struct {
	name, label, es string
	order           string
	fields          map[string]*field
	names           []string // of fields, in the order they are declared
	actions         map[string]method
}

// field describes one column. Its words are explained in schema.txt.
type field struct {
	name, kind, label, es                 string
	required, readonly, translate, stored bool
	sortable, unsearchable                bool
	rel, inverse                          string
	link, target                          string // via
	fallback                              string // default
	values                                []choice
	depends                               int // the version since which it is computed from the partner of a sale
	compute                               func(*env, *record) any
}

func (f *field) string(lang string) string {
	if strings.HasPrefix(lang, "es") && f.es != "" {
		return f.es
	}
	return f.label
}

func (f *field) toMany() bool { return f.kind == "one2many" || f.kind == "many2many" }

// choice is a value of a selection, its label in English and in Spanish.
type choice struct{ value, label, es string }

var orderStates = []choice{
	{"draft", "Quotation", "Presupuesto"}, {"sent", "Quotation Sent", "Presupuesto enviado"},
	{"sale", "Sales Order", "Pedido de venta"}, {"cancel", "Cancelled", "Cancelado"},
}

var languages = []choice{{"en_US", "English (US)", "English (US)"}, {"es_ES", "Spanish / Español", "Spanish / Español"}}

// choices returns the values of a selection in this version.
func (s *schema) choices(m *model, f *field) []choice {
	if f.link != "" {
		target := s.models[m.fields[f.link].rel]
		return s.choices(target, target.fields[f.target])
	}
	if f.values != nil {
		return f.values
	}
	switch f.name {
	case "type", "detailed_type":
		switch {
		case m.name == "res.partner":
			return []choice{{"contact", "Contact", "Contacto"}, {"invoice", "Invoice", "Factura"}, {"delivery", "Delivery", "Entrega"}, {"other", "Other", "Otra"}}
		case s.version >= 18:
			return []choice{{"consu", "Goods", "Bienes"}, {"service", "Service", "Servicio"}, {"combo", "Combo", "Combo"}}
		case s.modules["stock"]:
			return []choice{{"consu", "Consumable", "Consumible"}, {"service", "Service", "Servicio"}, {"product", "Storable Product", "Producto almacenable"}}
		}
		return []choice{{"consu", "Consumable", "Consumible"}, {"service", "Service", "Servicio"}}
	case "state":
		if s.version >= 17 {
			return orderStates
		}
		return slices.Insert(slices.Clone(orderStates), 3, choice{"done", "Locked", "Bloqueado"})
	case "company_type":
		return []choice{{"person", "Person", "Persona"}, {"company", "Company", "Empresa"}}
	case "lang":
		return languages
	case "tz":
		return []choice{{"Europe/Madrid", "Europe/Madrid", ""}, {"UTC", "UTC", ""}}
	case "priority":
		return []choice{{"0", "Normal", "Normal"}, {"1", "Favorite", "Favorito"}}
	case "position":
		return []choice{{"after", "After Amount", "Después del importe"}, {"before", "Before Amount", "Antes del importe"}}
	case "direction":
		return []choice{{"ltr", "Left-to-Right", "De izquierda a derecha"}, {"rtl", "Right-to-Left", "De derecha a izquierda"}}
	case "amount_type":
		return []choice{{"group", "Group of Taxes", "Grupo de impuestos"}, {"fixed", "Fixed", "Fijo"}, {"percent", "Percentage", "Porcentaje"}, {"division", "Percentage Tax Included", "Porcentaje incluido"}}
	case "type_tax_use":
		return []choice{{"sale", "Sales", "Ventas"}, {"purchase", "Purchases", "Compras"}, {"none", "None", "Ninguno"}}
	case "invoice_policy":
		return []choice{{"order", "Ordered quantities", "Cantidades pedidas"}, {"delivery", "Delivered quantities", "Cantidades entregadas"}}
	case "invoice_status":
		return []choice{
			{"upselling", "Upselling Opportunity", "Oportunidad de upselling"}, {"invoiced", "Fully Invoiced", "Facturado por completo"},
			{"to invoice", "To Invoice", "Por facturar"}, {"no", "Nothing to Invoice", "Nada que facturar"},
		}
	case "delivery_status":
		return []choice{
			{"pending", "Not Delivered", "No entregado"}, {"started", "Started", "Iniciado"},
			{"partial", "Partially Delivered", "Entregado en parte"}, {"full", "Fully Delivered", "Entregado por completo"},
		}
	case "display_type":
		if s.version >= 19 {
			return []choice{{"line_section", "Section", "Sección"}, {"line_subsection", "Subsection", "Subsección"}, {"line_note", "Note", "Nota"}}
		}
		return []choice{{"line_section", "Section", "Sección"}, {"line_note", "Note", "Nota"}}
	}
	panic("odootest: no choices of " + m.name + "." + f.name)
}

// schema is the models of one version of Odoo with some modules installed.
type schema struct {
	version int
	modules map[string]bool
	models  map[string]*model
}

func newSchema(version int, modules map[string]bool) *schema {
	s := &schema{version: version, modules: modules, models: map[string]*model{}}
	var m *model
	for line := range strings.Lines(schemaText) {
		line = strings.TrimSpace(line)
		cells := strings.Split(line, "|")
		for i := range cells {
			cells[i] = strings.TrimSpace(cells[i])
		}
		switch {
		case line == "" || line[0] == '#':
		case line[0] == '[':
			m = &model{name: strings.TrimPrefix(cells[0], "["), label: cells[1], es: cells[2], order: strings.TrimSuffix(cells[3], "]"), fields: map[string]*field{}}
			s.models[m.name] = m
			s.add(m, &field{name: "id", kind: "integer", label: "ID", es: "ID", readonly: true, stored: true, sortable: true})
			s.add(m, &field{name: "display_name", kind: "char", label: "Display Name", es: "Nombre mostrado", readonly: true, compute: (*env).displayName})
			for _, f := range []*field{
				{name: "create_date", kind: "datetime", label: "Created on", es: "Creado el"},
				{name: "create_uid", kind: "many2one", rel: "res.users", label: "Created by", es: "Creado por"},
				{name: "write_date", kind: "datetime", label: "Last Updated on", es: "Última actualización el"},
				{name: "write_uid", kind: "many2one", rel: "res.users", label: "Last Updated by", es: "Última actualización por"},
			} {
				f.readonly, f.stored, f.sortable = true, true, true
				s.add(m, f)
			}
		case len(cells) == 1:
			if !s.exists(cells[0]) {
				delete(s.models, m.name)
			}
		case len(cells) == 5:
			if s.exists(cells[4]) {
				s.add(m, parseField(cells))
			}
		default:
			panic("odootest: schema.txt: " + line)
		}
	}
	for key, f := range computed {
		name, column := cutLast(key)
		if m := s.models[name]; m != nil && m.fields[column] != nil {
			m.fields[column].compute = f
		}
	}
	for _, m := range s.models {
		terms := slices.DeleteFunc(strings.Split(m.order, ","), func(term string) bool {
			f := m.fields[strings.Fields(term)[0]]
			return f == nil || !f.sortable
		})
		m.order = strings.TrimSpace(strings.Join(terms, ","))
	}
	for name, actions := range actionsOf(version) {
		s.models[name].actions = actions
	}
	return s
}

func (s *schema) add(m *model, f *field) {
	if m.fields[f.name] == nil {
		m.names = append(m.names, f.name)
	}
	m.fields[f.name] = f
}

// exists tells whether what has these words is part of this version.
func (s *schema) exists(words string) bool {
	for w := range strings.FieldsSeq(words) {
		key, arg, _ := strings.Cut(w, "=")
		n, _ := strconv.Atoi(arg)
		if key == "since" && s.version < n || key == "until" && s.version > n || key == "module" && !s.modules[arg] {
			return false
		}
	}
	return true
}

func parseField(cells []string) *field {
	f := &field{name: cells[0], kind: cells[1], label: cells[2], es: cells[3], stored: true}
	inherited := false
	for w := range strings.FieldsSeq(cells[4]) {
		key, arg, _ := strings.Cut(w, "=")
		switch key {
		case "required":
			f.required = true
		case "readonly":
			f.readonly = true
		case "translate":
			f.translate = true
		case "unstored":
			f.stored = false
		case "unsearchable":
			f.unsearchable = true
		case "sorted":
			inherited = true
		case "rel":
			f.rel = arg
		case "inverse":
			f.inverse = arg
		case "via":
			f.link, f.target, _ = strings.Cut(arg, ".")
		case "default":
			f.fallback = arg
		case "choices":
			for value := range strings.SplitSeq(arg, ",") {
				f.values = append(f.values, choice{value, value, value})
			}
		case "depends":
			f.depends, _ = strconv.Atoi(arg)
		case "since", "until", "module":
		default:
			panic(fmt.Sprintf("odootest: schema.txt: %s: %s", f.name, w))
		}
	}
	f.sortable = (f.stored || inherited) && !f.toMany() && f.kind != "binary"
	return f
}

// cutLast cuts a.b.c into a.b and c.
func cutLast(s string) (before, after string) {
	i := strings.LastIndexByte(s, '.')
	return s[:i], s[i+1:]
}
