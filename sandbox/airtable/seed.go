package airtabletest

import (
	"fmt"
	"math"
	"math/rand/v2"
	"strconv"
	"strings"
)

// wording is the seed's text in one language. The choices of status and
// priority are English in both, for the product filters by them.
type wording struct {
	table, order                                  string
	customer, status, priority, amount, date      string
	notes, email, tags, paid, number, created, at string
	note, tag                                     []string
}

var english = wording{
	table: "Orders", order: "Order",
	customer: "Customer", status: "Status", priority: "Priority", amount: "Amount", date: "Order date",
	notes: "Notes", email: "Email", tags: "Tags", paid: "Paid", number: "Number", created: "Created", at: "Last modified",
	note: []string{
		"Call before delivery.", "Leave at reception.", "Repeat of last month's order.", "Discount agreed: 5 %.",
		"Ask for \"purchasing\" at the gate.", "Two pallets.\nNo lift.", "Invoice to head office.", "Fragile: glass.",
	},
	tag: []string{"New customer", "Export", "Recurring", "Web"},
}

var spanish = wording{
	table: "Pedidos", order: "Pedido",
	customer: "Cliente", status: "Estado", priority: "Prioridad", amount: "Importe", date: "Fecha de pedido",
	notes: "Notas", email: "Correo", tags: "Etiquetas", paid: "Pagado", number: "Número", created: "Creado", at: "Última modificación",
	note: []string{
		"Llamar antes de entregar.", "Dejar en recepción.", "Repite el pedido del mes pasado.", "Descuento acordado: 5 %.",
		"Preguntar por \"compras\" en la entrada.", "Dos palés.\nSin ascensor.", "Facturar a la central.", "Frágil: cristal.",
	},
	tag: []string{"Cliente nuevo", "Exportación", "Recurrente", "Web"},
}

var (
	statuses   = []string{"Pending", "Processing", "Sent", "Delivered", "Cancelled"}
	statusOdds = []float64{.15, .32, .48, .92, 1}
	priorities = []string{"Low", "Medium", "High"}
	priorOdds  = []float64{.3, .8, 1}

	families = []string{
		"Aranda", "Belmonte", "Castell", "Duarte", "Echevarría", "Ferrer", "Galindo", "Herrera", "Ibáñez", "Jordán", "Lozano", "Muñoz",
		"Navarro", "Oliver", "Peñalver", "Quiroga", "Robledo", "Salgado", "Tortosa", "Ugarte", "Valverde", "Winslow", "Yáñez", "Zubiri",
	}
	trades = []string{
		"Logistics", "Foods", "Textiles", "Industrial", "Ceramics", "Pharma", "Energy", "Hotels",
		"Packaging", "Motors", "Optics", "Paper", "Tools", "Wines", "Robotics", "& Sons",
	}
)

// company is a customer of the samples; its cells are shared by all its orders.
type company struct{ name, email cell }

func companies() []company {
	plain := strings.NewReplacer("á", "a", "é", "e", "í", "i", "ñ", "n", "&", "and", " ", "-")
	var all []company
	for _, trade := range trades {
		for _, family := range families {
			name := family + " " + trade
			all = append(all, company{name, "orders@" + plain.Replace(strings.ToLower(name)) + ".example"})
		}
	}
	return all
}

const yearMillis = 365 * 24 * 3600 * 1000

// seed makes a base with a table of samples. The orders are spread evenly over the
// last 365 days, and all of an order follows from its place in time and the
// seed: a sandbox started again tomorrow has the same orders but for the oldest.
func seed(cfg Config) *base {
	w := english
	if cfg.Language == "es" {
		w = spanish
	}
	b := &base{rng: rand.New(rand.NewPCG(cfg.Seed, 0))}
	t := b.newTable(cfg.TableID, w.table)
	t.viewID = b.newID("viw")
	for _, f := range []Field{
		{Name: w.order, Type: SingleLineText},
		{Name: w.customer, Type: SingleLineText},
		{Name: w.status, Type: SingleSelect, Choices: statuses},
		{Name: w.priority, Type: SingleSelect, Choices: priorities},
		{Name: w.amount, Type: Currency, Precision: 2, Symbol: "€"},
		{Name: w.date, Type: DateField},
		{Name: w.notes, Type: MultilineText},
		{Name: w.email, Type: Email},
		{Name: w.tags, Type: MultipleSelects, Choices: w.tag},
		{Name: w.paid, Type: Checkbox},
		{Name: w.number, Type: AutoNumber},
		{Name: w.created, Type: CreatedTime},
		{Name: w.at, Type: LastModifiedTime},
	} {
		if _, err := t.addField(f); err != nil {
			panic(fmt.Sprintf("airtabletest: the samples' fields: %v", err))
		}
	}
	if cfg.Orders <= 0 {
		return b
	}
	t.byID, t.rows = make(map[recordID]*record, cfg.Orders), make([]*record, 0, cfg.Orders)
	var (
		customers = companies()
		notes     = boxed(w.note)
		tags      = tagCells(t.columns[8].choices)
		interval  = float64(yearMillis) / float64(cfg.Orders)
		last      = int64(float64(cfg.Now().UnixMilli()) / interval)
		source    = rand.NewPCG(0, 0)
		rng       = rand.New(source)
	)
	t.number = uint32(max(0, last-int64(cfg.Orders)))
	for n := last - int64(cfg.Orders) + 1; n <= last; n++ {
		source.Seed(cfg.Seed, uint64(n))
		created := int64(float64(n)*interval) / 1000 * 1000
		r := &record{created: created, modified: created}
		copy(r.id[:], "rec")
		for i := 3; i < len(r.id); i++ {
			r.id[i] = alphanumeric[rng.IntN(len(alphanumeric))]
		}
		u := rng.Float64()
		customer := customers[int(u*u*float64(len(customers)))]
		r.cells = []cell{
			w.order + " " + strconv.FormatInt(n, 10),
			customer.name,
			t.columns[2].choices[pick(rng, statusOdds)],
			unless(rng, .04, t.columns[3].choices[pick(rng, priorOdds)]),
			unless(rng, .02, math.Round(2000+rng.ExpFloat64()*60000)/100),
			unless(rng, .01, instant((created-int64(rng.IntN(3))*86_400_000)/86_400_000*86_400_000)),
			unless(rng, .65, notes[rng.IntN(len(notes))]),
			unless(rng, .08, customer.email),
			unless(rng, .7, tags[rng.IntN(len(tags))]),
			unless(rng, .5, true),
		}
		t.insert(r)
	}
	return b
}

// boxed makes cells that records can share.
func boxed(list []string) []cell {
	cells := make([]cell, len(list))
	for i, s := range list {
		cells[i] = s
	}
	return cells
}

// tagCells are all sets of one or two choices.
func tagCells(choices []*choice) []cell {
	var cells []cell
	for i, a := range choices {
		cells = append(cells, []*choice{a})
		for _, b := range choices[i+1:] {
			cells = append(cells, []*choice{a, b})
		}
	}
	return cells
}

// pick returns an index by cumulative odds.
func pick(rng *rand.Rand, odds []float64) int {
	u := rng.Float64()
	for i, p := range odds {
		if u < p {
			return i
		}
	}
	return len(odds) - 1
}

// unless leaves a cell empty with the given probability.
func unless(rng *rand.Rand, p float64, v cell) cell {
	if rng.Float64() < p {
		return nil
	}
	return v
}
