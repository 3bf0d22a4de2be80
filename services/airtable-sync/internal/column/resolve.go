package column

import (
	"cmp"
	"slices"
	"strings"
	"unicode"

	"golang.org/x/text/unicode/norm"

	"github.com/resonance/resonance/pkg/event/schema"
	"github.com/resonance/resonance/pkg/fault"
	"github.com/resonance/resonance/services/airtable-sync/internal/airtable"
)

// rule says how the field of a column is recognised by its name: by the whole name, else by a word in it.
// A name with one of the words against it is of something else.
type rule struct {
	names   []string // best first
	words   []string // best first
	plus    []string // words that make a name with one of words the likelier
	against []string
}

var rules = map[Column]rule{
	Name: {
		names: []string{
			"name", "order name", "order", "order number", "order no", "order id", "title", "nombre", "nombre del pedido", "pedido",
			"numero de pedido", "no pedido", "orden", "nome", "numero do pedido", "numero", "titulo", "referencia", "reference",
		},
		words: []string{"order", "pedido", "orden"},
	},
	Customer: {
		names: []string{
			"customer", "customer name", "client", "client name", "company", "cliente", "nombre del cliente", "nombre cliente", "nome do cliente",
			"empresa", "razon social", "comprador",
		},
		words: []string{"customer", "client", "cliente"},
		plus:  []string{"name", "nombre", "nome", "razon", "company", "empresa"},
		against: []string{
			"email", "mail", "correo", "phone", "telefono", "telefone", "tel", "address", "direccion", "endereco", "city", "ciudad", "cidade", "country", "pais",
			"id", "code", "codigo", "vat", "nif", "cif", "type", "tipo", "since", "desde", "notes", "notas", "orders", "pedidos", "reference", "referencia",
		},
	},
	Status: {
		names: []string{"status", "order status", "state", "stage", "estado", "estado del pedido", "estatus", "situacion", "etapa", "fase", "situacao"},
		words: []string{"status", "estado", "estatus", "situacion", "situacao"},
		plus:  []string{"order", "pedido", "orden"},
		against: []string{
			"payment", "pago", "pagamento", "cobro", "invoice", "factura", "fatura", "billing", "facturacion", "stock", "customer", "client", "cliente",
		},
	},
	Priority: {
		names: []string{"priority", "order priority", "prioridad", "prioridad del pedido", "prioridade", "urgency", "urgencia"},
		words: []string{"priority", "prioridad", "prioridade", "urgency", "urgencia"},
	},
	Amount: {
		names: []string{
			"amount", "total amount", "order amount", "total", "order total", "grand total", "importe", "importe total", "importe del pedido", "monto",
			"monto total", "valor total", "montante", "value", "valor", "price", "precio", "preco", "cantidad",
		},
		words: []string{"total", "importe", "amount", "monto", "montante", "valor", "value", "price", "precio", "preco"},
		plus:  []string{"order", "pedido", "orden", "total", "grand", "con", "incl", "incluido", "with", "gross", "bruto", "com"},
		against: []string{
			"discount", "descuento", "desconto", "shipping", "envio", "portes", "frete", "unit", "unitario", "unidad", "paid", "pagado", "pago",
			"cost", "coste", "costo", "custo", "margin", "margen", "margem", "commission", "comision", "deposit", "anticipo", "subtotal", "weight", "peso",
			"tax", "vat", "iva", "impuesto", "impuestos", "imposto", "refund", "reembolso",
		},
	},
	OrderDate: {
		names: []string{
			"order date", "date", "ordered on", "date ordered", "date placed", "fecha", "fecha de pedido", "fecha del pedido", "fecha pedido",
			"fecha de orden", "fecha de la orden", "data do pedido", "data",
		},
		words: []string{"date", "fecha", "data"},
		plus:  []string{"order", "ordered", "pedido", "orden", "placed", "purchase", "compra", "sale", "venta", "venda"},
		against: []string{
			"delivery", "delivered", "entrega", "shipping", "ship", "shipped", "envio", "due", "vencimiento", "vencimento", "payment", "paid", "pago", "pagamento",
			"invoice", "factura", "fatura", "birth", "nacimiento", "end", "fin", "updated", "modified", "modificacion", "cancellation", "cancelacion",
			"expected", "estimated", "estimada", "prevista", "limite", "deadline", "return", "devolucion", "expiry", "caducidad",
		},
	},
	UpdatedAt: {
		names: []string{
			"updated at", "last modified", "last modified time", "modified", "updated", "ultima modificacion", "modificado", "actualizado", "ultima modificacao",
		},
	},
}

// ruleOf is how a column's field is recognised: where there is no rule, by the column's name and titles.
func ruleOf(c Column) rule {
	r, known := rules[c]
	if !known {
		core := c.core()
		r.names = []string{fold(core.Name), fold(core.Title.EN), fold(core.Title.ES)}
	}
	return r
}

var (
	units  = []string{"cantidad", "quantity", "quantidade", "qty", "units", "unidades", "uds", "count", "numero", "items", "articulos"}
	inTax  = []string{"con", "incl", "incluido", "inc", "with", "sin", "without", "excl", "com", "sem"}
	ofTax  = []string{"tax", "vat", "iva", "impuesto", "impuestos", "imposto"}
	inWord = []string{"total", "importe", "amount", "monto", "montante", "valor", "value"}
)

// Kept is what is remembered of the field of a column.
type Kept struct {
	Field  airtable.Field `json:"field"`
	Named  string         `json:"named,omitempty"` // what the operator had named when it was found
	Select airtable.Field `json:"select,omitzero"` // as it was when it last was a select
	Was    string         `json:"was,omitempty"`   // of a text that was something else before: its type then
	Rival  string         `json:"rival,omitempty"` // key of the field that was almost chosen instead
}

// guesser finds fields for columns.
type guesser struct {
	table  airtable.Table
	usage  *usage // what is in the cells; nil if nobody has seen any
	named  map[Column]string
	kept   map[Column]Kept
	found  map[Column]int
	taken  map[int]bool
	notes  map[Column][]fault.Text
	close  map[Column]string // keys of fields that were almost chosen instead
	rivals bool              // some column had more than one candidate
}

// resolve chooses a field of the table for each column. Columns it finds none for have a note and no field.
func resolve(t airtable.Table, u *usage, named map[Column]string, kept map[Column]Kept) *guesser {
	g := &guesser{
		table: t, usage: u, named: named, kept: kept,
		found: map[Column]int{}, taken: map[int]bool{}, notes: map[Column][]fault.Text{}, close: map[Column]string{},
	}
	var guess []Column
	for _, c := range all {
		switch want := named[c]; {
		case want == None:
		case g.keep(c):
		case want != "":
			g.take(c, g.named1(c, want))
		default:
			guess = append(guess, c)
		}
	}
	for _, c := range guess {
		g.take(c, g.best(c))
		if _, ok := g.found[c]; !ok && c != UpdatedAt && len(g.notes[c]) == 0 {
			g.note(c, "la tabla no tiene un campo para esta columna, que queda vacía; "+Variable(c)+" puede nombrar uno",
				"the table has no field for this column, which stays empty; "+Variable(c)+" can name one")
		}
	}
	return g
}

func (g *guesser) note(c Column, es, en string) { g.notes[c] = append(g.notes[c], fault.T(es, en)) }

func (g *guesser) take(c Column, i int) {
	if i >= 0 {
		g.found[c], g.taken[i] = i, true
	}
}

// keep stays with the field that held the column before.
func (g *guesser) keep(c Column) bool {
	k, ok := g.kept[c]
	if !ok || k.Named != g.named[c] {
		return false
	}
	i := slices.IndexFunc(g.table.Fields, func(f airtable.Field) bool { return f.Key() == k.Field.Key() })
	if i < 0 || g.taken[i] {
		return false
	}
	f := &g.table.Fields[i]
	if c == OrderDate && f.Type == "createdTime" && k.Named == "" { // it was the last resort
		return false
	}
	if !suits(c, f) {
		g.note(c, "el campo «"+f.Name+"» es ahora de tipo "+f.Type+", que no sirve para esta columna",
			"the field “"+f.Name+"” is of type "+f.Type+" now, which does not suit this column")
		return false
	}
	g.take(c, i)
	if rival := slices.IndexFunc(g.table.Fields, func(f airtable.Field) bool { return f.Key() == k.Rival }); rival >= 0 && !g.taken[rival] {
		g.closeCall(c, i, rival) // until somebody decides
	}
	was := cmp.Or(k.Was, k.Field.Type)
	if isText(f.Type) && !isText(was) {
		g.note(c, "el campo «"+f.Name+"» era de tipo "+was+" y ahora es texto: se lee lo que no es ambiguo",
			"the field “"+f.Name+"” was of type "+was+" and is a text now: what is unambiguous is read")
	}
	return true
}

func (g *guesser) byID(id string) int {
	return slices.IndexFunc(g.table.Fields, func(f airtable.Field) bool { return f.ID == id })
}

// named1 finds the field that the operator named, by id or name. Outer spaces, case and Unicode
// normalisation of names do not matter, unless that would leave two.
func (g *guesser) named1(c Column, want string) int {
	plain := func(s string) string { return norm.NFC.String(strings.TrimSpace(s)) }
	for _, same := range []func(f airtable.Field) bool{
		func(f airtable.Field) bool { return f.ID == want || f.Name == want },
		func(f airtable.Field) bool { return plain(f.Name) == plain(want) },
		func(f airtable.Field) bool { return strings.EqualFold(plain(f.Name), plain(want)) },
	} {
		if i := slices.IndexFunc(g.table.Fields, same); i >= 0 {
			return g.readable(c, i)
		}
	}
	if g.table.ID != "" { // else it may turn up in a record
		g.note(c, Variable(c)+" nombra «"+want+"», que la tabla no tiene; tiene: "+quoted(g.table.Fields, "«", "»"),
			Variable(c)+" names “"+want+"”, which the table lacks; it has: "+quoted(g.table.Fields, "“", "”"))
	}
	return -1
}

func quoted(fields []airtable.Field, open, end string) string {
	names := make([]string, len(fields))
	for i, f := range fields {
		names[i] = open + f.Name + end
	}
	slices.Sort(names)
	return strings.Join(names, ", ")
}

// readable is the field itself, or for a link, whose cells are record ids, the lookup that shows the names;
// -1 if there is none.
func (g *guesser) readable(c Column, i int) int {
	link := &g.table.Fields[i]
	if link.Type != "multipleRecordLinks" {
		return i
	}
	best, score := -1, 0
	for j := range g.table.Fields {
		f := &g.table.Fields[j]
		if f.Type != "multipleLookupValues" && f.Type != "lookup" && f.Type != "rollup" || f.Options.RecordLinkFieldID != link.ID || g.taken[j] || !suits(c, f) {
			continue
		}
		typ, _ := f.Value()
		s := 1
		switch words := strings.Fields(fold(f.Name)); {
		case f.Options.FieldIDInLinkedTable != "" && f.Options.FieldIDInLinkedTable == g.table.Primaries[link.Options.LinkedTableID]:
			s = 4
		case overlap(words, rules[Customer].against) || !isText(typ) && !computed[typ] && typ != "singleSelect":
			continue
		case overlap(words, rules[Customer].plus):
			s = 3
		case isText(typ):
			s = 2
		}
		if s > score {
			best, score = j, s
		}
	}
	if best < 0 {
		g.note(c, "«"+link.Name+"» enlaza con otra tabla y sus nombres no se pueden leer: añada un campo de búsqueda (lookup) del nombre",
			"“"+link.Name+"” links to another table, whose names cannot be read: add a lookup field of the name")
	}
	return best
}

func overlap(words, list []string) bool {
	return slices.ContainsFunc(words, func(w string) bool { return slices.Contains(list, w) })
}

// rank is how well a field suits a column, the most important first: what it holds before what it is called.
type rank struct {
	filled  int // not if all of its cells are empty
	options int // whether its choices are those of the column
	kind    int // whether its type is the column's own
	share   int // of filled cells, in quarters
	words   int
}

func (r rank) compare(o rank) int {
	return cmp.Or(cmp.Compare(r.filled, o.filled), cmp.Compare(r.options, o.options), cmp.Compare(r.kind, o.kind),
		cmp.Compare(r.share, o.share), cmp.Compare(r.words, o.words))
}

// best is the field that suits the column best, -1 if none does. A close call is noted.
func (g *guesser) best(c Column) int {
	type candidate struct {
		at int
		rank
	}
	var candidates []candidate
	for i := range g.table.Fields {
		f := &g.table.Fields[i]
		if g.taken[i] || !suits(c, f) && (c != Customer || f.Type != "multipleRecordLinks") || g.usage.onlyIDs(f.Key()) {
			continue
		}
		r := rank{filled: 1, kind: kindOf(c, f), words: g.wordsOf(c, f)}
		if share, known := g.usage.share(f.Key()); known {
			r.share = int(4 * share)
			if share == 0 {
				r.filled = 0
			}
		}
		if n := familiar(c, f); n >= 2 && r.words >= 0 {
			r.options = 1
		}
		if r.words > 0 || r.options > 0 {
			candidates = append(candidates, candidate{i, r})
		}
	}
	slices.SortStableFunc(candidates, func(a, b candidate) int { return b.compare(a.rank) })
	g.rivals = g.rivals || len(candidates) > 1
	for n, first := range candidates {
		at := g.readable(c, first.at)
		if at < 0 {
			continue
		}
		g.notes[c] = nil
		if n+1 < len(candidates) {
			next := candidates[n+1]
			even := first.rank
			even.words = next.words
			if g.readable(c, next.at) != at && (even == next.rank && first.words-next.words < 20 || next.words > first.words) {
				g.closeCall(c, at, next.at)
			}
		}
		return at
	}
	return g.byType(c)
}

func (g *guesser) closeCall(c Column, at, other int) {
	is, was := g.table.Fields[at].Name, g.table.Fields[other].Name
	g.close[c] = g.table.Fields[other].Key()
	g.note(c, "se lee de «"+is+"»; también podría ser «"+was+"» ("+Variable(c)+" lo decide)",
		"it is read from “"+is+"”; it could also be “"+was+"” ("+Variable(c)+" decides)")
}

// byType is the field of a column that no name tells of: the only one of the column's type; for the date
// also the time of creation.
func (g *guesser) byType(c Column) int {
	only := func(fits func(*airtable.Field) bool) int {
		at := -1
		for i := range g.table.Fields {
			if f := &g.table.Fields[i]; !g.taken[i] && fits(f) {
				if at >= 0 {
					return -1
				}
				at = i
			}
		}
		return at
	}
	i := -1
	switch c {
	case Amount:
		return only(func(f *airtable.Field) bool { typ, _ := f.Value(); return typ == "currency" && g.wordsOf(c, f) >= 0 })
	case OrderDate:
		if i = only(func(f *airtable.Field) bool {
			typ, _ := f.Value()
			return (typ == "date" || typ == "dateTime") && suits(c, f) && f.Type != "createdTime" && g.wordsOf(c, f) >= 0
		}); i >= 0 {
			return i
		}
		if i = only(func(f *airtable.Field) bool { return f.Type == "createdTime" }); i >= 0 {
			g.note(c, "la tabla no tiene una fecha de pedido: se usa «"+g.table.Fields[i].Name+"», cuándo se creó el registro",
				"the table has no order date: “"+g.table.Fields[i].Name+"”, when the record was created, is used")
		}
	case UpdatedAt:
		return only(func(f *airtable.Field) bool { return f.Type == "lastModifiedTime" })
	case Name:
		if i = g.byID(g.table.PrimaryFieldID); i >= 0 && (g.taken[i] || g.table.PrimaryFieldID == "") {
			return -1
		}
	default:
	}
	return i
}

// kindOf says how near the type of a field is to a column's own.
func kindOf(c Column, f *airtable.Field) int {
	typ, _ := f.Value()
	switch c.kind() {
	case schema.Choice:
		switch {
		case f.Type == "singleSelect":
			return 3
		case f.Type == "multipleSelects", computed[f.Type] && (isText(typ) || isSelect(typ)):
			return 2
		case isText(typ):
			return 1
		}
	case schema.Number:
		switch {
		case f.Type == "count":
			return 0
		case typ == "currency":
			return 4
		case typ == "number":
			return 3
		case computed[typ]: // of an unknown result
			return 2
		}
	case schema.Date:
		switch {
		case f.Type == "createdTime":
			return 0
		case typ == "date", typ == "dateTime":
			return 3
		case computed[typ]:
			return 2
		}
	default:
	}
	return 1
}

// wordsOf says how much a field's name sounds like a column, from 0 to 120; less than 0 is like another's.
func (g *guesser) wordsOf(c Column, f *airtable.Field) int {
	rule, name := ruleOf(c), fold(f.Name)
	words := strings.Fields(name)
	score := 0
	typ, _ := f.Value()
	if i := slices.Index(rule.names, name); i >= 0 {
		score = 100 - 2*i
	} else {
		for i, w := range rule.words {
			if slices.Contains(words, w) {
				score = 50 - i
				break
			}
		}
		if score > 0 && overlap(words, rule.plus) {
			score += 10
		}
		against := slices.DeleteFunc(slices.Clone(words), func(w string) bool {
			return slices.Contains(ofTax, w) && (overlap(words, inTax) || overlap(words, inWord) && c == Amount)
		})
		if overlap(against, rule.against) {
			score = -1
		}
	}
	switch {
	case c == Amount && typ != "currency" && overlap(words, units):
		return -1
	case c == Amount && score > 0 && overlap(words, []string{"sin", "without", "excl", "sem"}):
		return score - 15
	case c == Name && f.ID != "" && f.ID == g.table.PrimaryFieldID && score >= 0:
		return max(score, 72)
	}
	return score
}

// familiar counts the choices of a select that mean one of the column's canonical values.
func familiar(c Column, f *airtable.Field) int {
	_, options := f.Value()
	n := 0
	for _, value := range canonicalChoices(c, options.Choices) {
		if value != "" {
			n++
		}
	}
	return n
}

// fold reduces a name to lower-case words without accents or punctuation; orderDate is two words.
func fold(s string) string {
	var b strings.Builder
	lower := false
	for _, r := range norm.NFD.String(s) {
		switch {
		case unicode.IsLetter(r), unicode.IsDigit(r):
			if lower && unicode.IsUpper(r) {
				b.WriteByte(' ')
			}
			b.WriteRune(unicode.ToLower(r))
			lower = unicode.IsLower(r)
		case unicode.Is(unicode.Mn, r):
		default:
			b.WriteByte(' ')
			lower = false
		}
	}
	return strings.Join(strings.Fields(b.String()), " ")
}
