package odootest

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"time"
)

// groupNames are the groups of users by external id: their names, and the least role that has them.
var groupNames = []struct {
	xmlid, name string
	roles       []Role
}{
	{"base.group_user", "User types / Internal User", []Role{Admin, Sales, ReadOnly}},
	{"base.group_system", "Administration / Settings", []Role{Admin}},
	{"base.group_erp_manager", "Administration / Access Rights", []Role{Admin}},
	{"base.group_partner_manager", "Extra Rights / Contact Creation", []Role{Admin, Sales}},
	{"sales_team.group_sale_salesman", "Sales / User: Own Documents Only", []Role{Admin, Sales}},
	{"sales_team.group_sale_salesman_all_leads", "Sales / User: All Documents", []Role{Admin, Sales}},
	{"sales_team.group_sale_manager", "Sales / Administrator", []Role{Admin}},
	{"product.group_product_manager", "Products / Creator", []Role{Admin}},
	{"stock.group_stock_user", "Inventory / User", []Role{Admin}},
	{"stock.group_stock_manager", "Inventory / Administrator", []Role{Admin}},
	{"purchase.group_purchase_user", "Purchase / User", []Role{Admin}},
	{"purchase.group_purchase_manager", "Purchase / Administrator", []Role{Admin}},
	{"account.group_account_invoice", "Accounting / Billing", []Role{Admin}},
}

// seed makes what every Odoo has, and the samples if they are asked for.
func (s *Server) seed() {
	e := s.env(&User{id: 1})
	e.companies = []int{1, 2}
	b := &builder{env: e, s: s, rng: rand.New(rand.NewPCG(s.cfg.Seed, 1))}
	b.base()
	if s.cfg.Samples {
		b.samples()
	}
	e.undo = nil
}

// builder makes records as their module's data files would.
type builder struct {
	*env
	s   *Server
	rng *rand.Rand
}

// make adds a record and, where given, its external id. Fields that this version lacks are left out.
func (b *builder) make(model, xmlid string, v Values) *record {
	m := b.models[model]
	if m == nil {
		return &record{}
	}
	for name := range v {
		if m.fields[name] == nil {
			delete(v, name)
		}
	}
	r, err := b.create(m, plainValues(v))
	if err != nil {
		panic(fmt.Sprintf("odootest: sample %s %v: %v", model, v, err))
	}
	if module, name, ok := strings.Cut(xmlid, "."); ok {
		b.make("ir.model.data", "", Values{"module": module, "name": name, "model": model, "res_id": r.id})
	}
	return r
}

// spanish translates a name.
func (b *builder) spanish(r *record, text string) {
	if r.id != 0 {
		b.translate(r, "name", "es_ES", text)
	}
}

var countries = []struct {
	code, name, es string
	phone          int
}{
	{"ES", "Spain", "España", 34}, {"PT", "Portugal", "Portugal", 351}, {"FR", "France", "Francia", 33},
	{"DE", "Germany", "Alemania", 49}, {"IT", "Italy", "Italia", 39}, {"MX", "Mexico", "México", 52}, {"US", "United States", "Estados Unidos", 1},
}

var provinces = []struct{ code, name, city, zip string }{
	{"M", "Madrid", "Madrid", "28"}, {"B", "Barcelona", "Barcelona", "08"}, {"V", "Valencia", "València", "46"},
	{"SE", "Sevilla", "Sevilla", "41"}, {"BI", "Bizkaia", "Bilbao", "48"}, {"A", "Alicante", "Alacant", "03"},
	{"C", "A Coruña", "A Coruña", "15"}, {"Z", "Zaragoza", "Zaragoza", "50"}, {"MA", "Málaga", "Málaga", "29"}, {"CA", "Cádiz", "Jerez de la Frontera", "11"},
}

// base is languages, currencies, countries, two companies, users, units, categories and taxes.
func (b *builder) base() {
	for _, name := range slices.Sorted(maps.Keys(b.models)) {
		b.make("ir.model", "", Values{"name": b.models[name].label, "model": name})
	}
	for _, l := range languages {
		b.make("res.lang", "", Values{"name": l.label, "code": l.value, "iso_code": l.value[:2], "url_code": l.value[:2]})
	}
	eur := b.make("res.currency", "base.EUR", Values{"name": "EUR", "symbol": "€", "full_name": "Euro"})
	b.make("res.currency", "base.USD", Values{"name": "USD", "symbol": "$", "position": "before", "full_name": "United States dollar"})
	for _, c := range countries {
		r := b.make("res.country", "base."+strings.ToLower(c.code), Values{"name": c.name, "code": c.code, "phone_code": c.phone, "currency_id": eur.id})
		b.spanish(r, c.es)
	}
	for _, p := range provinces {
		b.make("res.country.state", "base.state_es_"+strings.ToLower(p.code), Values{"name": p.name, "code": p.code, "country_id": 1})
	}
	for i, name := range []string{"Pelotazo, S.L.", "Pelotazo Portugal, Lda."} {
		partner := b.make("res.partner", "", Values{"name": name, "is_company": true, "country_id": 1 + i, "email": "info@pelotazo.example", "phone": "+34 910 000 000"})
		b.make("res.company", []string{"base.main_company", ""}[i], Values{"name": name, "partner_id": partner.id, "currency_id": eur.id})
	}
	ids := map[Role][]int{}
	for _, g := range groupNames {
		id := b.make("res.groups", g.xmlid, Values{"name": g.name}).id
		b.s.groups[g.xmlid] = id
		for _, role := range g.roles {
			ids[role] = append(ids[role], id)
		}
	}
	bot := b.make("res.partner", "base.partner_root", Values{"name": "OdooBot", "active": false})
	b.make("res.users", "base.user_root", Values{"login": "__system__", "partner_id": bot.id, "active": false, "company_ids": []int{1, 2}})
	for _, u := range b.s.cfg.Users {
		partner := b.make("res.partner", "", Values{"name": u.Name, "email": u.Login + "@pelotazo.example", "lang": "en_US", "tz": "Europe/Madrid"})
		xmlid := ""
		if len(b.s.users) == 0 {
			xmlid = "base.user_admin"
		}
		groups := []any{[]any{cmdSet, 0, list(ids[u.Role])}}
		r := b.make("res.users", xmlid, Values{"login": u.Login, "partner_id": partner.id, "company_ids": []int{1, 2}, "groups_id": groups, "group_ids": groups})
		u.id = r.id
		b.s.users = append(b.s.users, &u)
	}
	for _, u := range [][3]string{{"Units", "Unidades", "unit"}, {"Dozens", "Docenas", "dozen"}, {"kg", "kg", "kgm"}, {"Hours", "Horas", "hour"}} {
		b.spanish(b.make("uom.uom", "uom.product_uom_"+u[2], Values{"name": u[0]}), u[1])
	}
	b.make("product.category", "product.product_category_all", Values{"name": "All"})
	for _, rate := range []float64{21, 10} {
		tax := b.make("account.tax", "", Values{"name": fmt.Sprintf("%.0f%% S", rate), "amount": rate})
		b.spanish(tax, fmt.Sprintf("IVA %.0f%%", rate))
	}
	for _, name := range []string{"Immediate Payment", "30 Days"} {
		b.make("account.payment.term", "", Values{"name": name})
	}
	for _, name := range []string{"Domestic", "Intra-Community"} {
		b.make("account.fiscal.position", "", Values{"name": name})
	}
	for _, name := range []string{"Default", "Wholesale"} {
		b.make("product.pricelist", "", Values{"name": name})
	}
	for _, name := range []string{"Madrid", "Porto"} {
		b.make("stock.warehouse", "", Values{"name": name})
	}
	b.make("res.partner.title", "base.res_partner_title_madam", Values{"name": "Madam", "shortcut": "Mrs"})
	b.make("res.partner.title", "base.res_partner_title_mister", Values{"name": "Mister", "shortcut": "Mr"})
}

// Products of the samples: category, names in English and Spanish, price.
var sampleCategories = []struct {
	name  string
	items [][2]string
}{
	{"Balls", [][2]string{
		{"Football size 5", "Balón de fútbol talla 5"}, {"Futsal ball", "Balón de fútbol sala"}, {"Basketball", "Balón de baloncesto"}, {"Handball", "Balón de balonmano"},
		{"Volleyball", "Balón de voleibol"}, {"Rugby ball", "Balón de rugby"}, {"Tennis balls (3)", "Pelotas de tenis (3)"}, {"Padel balls (3)", "Pelotas de pádel (3)"},
		{"Medicine ball 3 kg", "Balón medicinal 3 kg"}, {"Water polo ball", "Balón de waterpolo"},
	}},
	{"Clothing", [][2]string{
		{"Training shirt", "Camiseta de entrenamiento"}, {"Match shorts", "Pantalón corto de partido"}, {"Goalkeeper gloves", "Guantes de portero"}, {"Tracksuit", "Chándal"},
		{"Wind jacket", "Cortavientos"}, {"Socks, pair", "Calcetines, par"}, {"Cap", "Gorra"}, {"Bib \"A\"", "Peto \"A\""}, {"Swimsuit", "Bañador"}, {"Boots FG", "Botas FG"},
	}},
	{"Field", [][2]string{
		{"Goal 3 × 2 m", "Portería 3 × 2 m"}, {"Goal net", "Red de portería"}, {"Corner flags (4)", "Banderines de córner (4)"}, {"Cones (20)", "Conos (20)"},
		{"Agility ladder", "Escalera de agilidad"}, {"Hurdle", "Valla"}, {"Line paint 10 l", "Pintura de líneas 10 l"}, {"Scoreboard", "Marcador"}, {"Bench, 8 seats", "Banquillo, 8 plazas"}, {"Padel net", "Red de pádel"},
	}},
	{"Gym", [][2]string{
		{"Dumbbell 5 kg", "Mancuerna 5 kg"}, {"Kettlebell 12 kg", "Pesa rusa 12 kg"}, {"Yoga mat", "Esterilla"}, {"Resistance band", "Banda elástica"}, {"Skipping rope", "Comba"},
		{"Foam roller", "Rodillo de espuma"}, {"Pull-up bar", "Barra de dominadas"}, {"Step", "Escalón"}, {"Punching bag", "Saco de boxeo"}, {"Exercise bike", "Bicicleta estática"},
	}},
	{"Accessories", [][2]string{
		{"Whistle", "Silbato"}, {"Stopwatch", "Cronómetro"}, {"Water bottle", "Botella"}, {"Ball pump", "Bomba de aire"}, {"Kit bag", "Bolsa de deporte"}, {"First aid kit", "Botiquín"},
		{"Cards set", "Tarjetas de árbitro"}, {"Captain's armband", "Brazalete de capitán"}, {"Tape <5 m> & pads", "Venda <5 m> y apósitos"}, {"Trophy 🏆 30 cm", "Trofeo 🏆 30 cm"},
	}},
	{"Services", [][2]string{
		{"Installation", "Instalación"}, {"Printing of names", "Serigrafía de nombres"}, {"Delivery", "Envío"}, {"Yearly check", "Revisión anual"}, {"Court rental, hour", "Alquiler de pista, hora"},
		{"Referee", "Árbitro"}, {"Course", "Curso"}, {"Repair", "Reparación"}, {"Design of a kit", "Diseño de equipación"}, {"Insurance", "Seguro"},
	}},
}

var (
	surnames = []string{"Álvarez", "Benítez", "Castaño", "Díaz", "Etxeberria", "Fernández", "Güell", "Hernández", "Ibáñez", "Jiménez", "L'Olivé", "Muñoz", "Núñez", "Ortuño", "Peña", "Quílez", "Ruiz", "Sáenz de Urturi", "Tàpies", "Zúñiga"}
	clubs    = []string{"Club Deportivo %s", "Gimnasio %s", "Deportes %s", "Colegio %s", "Polideportivo «%s»", "Escuela de Fútbol %s"}
	streets  = []string{"Calle Mayor", "Avenida de América", "Carrer d'Aragó", "Plaza del Sol", "Paseo Marítimo", "Rúa do Vilar", "Calle del Pez", "Gran Vía"}
	makers   = []string{"Balones del Sur, S.A.", "Textil Igualada", "Ortiz & Hijos", "Redes y Mallas, S.L.", "Ferretería \"El Clavo\"", "Lisboa Desporto", "Müller Sportgeräte GmbH", "Ateliers Dupont", "Calzados Elche", "Plásticos Ñ", "Trofeos 🏅 Oro", "Transportes Rápidos"}
)

// at sets the time that what follows is made at.
func (b *builder) at(t time.Time) { b.now = t.Truncate(time.Microsecond) }

func (b *builder) samples() {
	today := b.s.cfg.Now().UTC()
	start := today.AddDate(-1, 0, 0)
	b.at(start.AddDate(0, -1, 0))
	products := b.products()
	customers := b.partners(40, "customer")
	b.partners(len(makers), "supplier")
	b.sales(products, customers, start, today)
}

func (b *builder) products() []*record {
	var all []*record
	for i, c := range sampleCategories {
		category := b.make("product.category", "", Values{"name": c.name, "parent_id": 1})
		service := c.name == "Services"
		for j, names := range c.items {
			n := i*10 + j + 1
			b.at(b.now.Add(61*time.Minute + 1234567*time.Microsecond))
			price := float64(5+b.rng.IntN(400)) - .05*float64(b.rng.IntN(3))
			v := Values{
				"name": names[0], "categ_id": category.id, "list_price": price, "standard_price": round(price * .6), "default_code": fmt.Sprintf("PEL-%03d", n),
				"description_sale": "", "weight": float64(b.rng.IntN(90)) / 10,
			}
			switch {
			case service:
				v["type"], v["detailed_type"], v["uom_id"], v["uom_po_id"] = "service", "service", 4, 4
			case b.version < 15:
				v["type"] = "product"
			default:
				v["is_storable"], v["detailed_type"] = true, "product"
			}
			if !b.modules["stock"] && !service {
				v["type"], v["detailed_type"] = "consu", "consu"
			}
			if !service && n%6 != 0 {
				v["barcode"] = ean13(8_400_000_000_000/10 + n)
			}
			if n%3 == 1 {
				v["image_1920"] = picture(n, 192)
			}
			r := b.make("product.template", "", v)
			b.spanish(r, names[1])
			if !service && b.modules["stock"] {
				b.put(b.follow(r, "product_variant_id"), "qty_available", float64(b.rng.IntN(4)*b.rng.IntN(60)))
			}
			if n == 39 || n == 48 { // out of the range
				b.put(r, "active", false)
			}
			all = append(all, r)
		}
	}
	return all
}

// ean13 completes twelve digits with their check digit.
func ean13(twelve int) string {
	s := fmt.Sprintf("%012d", twelve)
	sum := 0
	for i, c := range s {
		sum += int(c-'0') * (1 + i%2*2)
	}
	return fmt.Sprintf("%s%d", s, (10-sum%10)%10)
}

func (b *builder) partners(n int, kind string) []*record {
	var all []*record
	for i := range n {
		b.at(b.now.Add(47*time.Minute + 7654321*time.Microsecond))
		surname := surnames[i%len(surnames)]
		place := provinces[b.rng.IntN(len(provinces))]
		v := Values{
			"is_company": true, "street": fmt.Sprintf("%s, %d", streets[b.rng.IntN(len(streets))], 1+b.rng.IntN(120)), "city": place.city,
			"zip": fmt.Sprintf("%s%03d", place.zip, b.rng.IntN(100)), "country_id": 1, "phone": fmt.Sprintf("+34 9%02d %03d %03d", b.rng.IntN(100), b.rng.IntN(1000), b.rng.IntN(1000)),
			"lang": "es_ES", kind + "_rank": 1, "vat": fmt.Sprintf("ESB%08d", 10_000_000+b.rng.IntN(80_000_000)), "mobile": fmt.Sprintf("+34 6%02d %03d %03d", b.rng.IntN(100), b.rng.IntN(1000), b.rng.IntN(1000)),
		}
		switch kind {
		case "supplier":
			v["name"] = makers[i]
			v["email"] = fmt.Sprintf("ventas%d@proveedor.example", i+1)
			if i%4 == 1 {
				v["comment"] = "<p>Plazo: 30 días</p>"
			}
		default:
			v["name"] = fmt.Sprintf(clubs[(i*7+i/3)%len(clubs)], surname)
			v["email"] = fmt.Sprintf("compras%d@cliente.example", i+1)
			if i%5 == 3 {
				v["name"], v["is_company"] = []string{"María", "José", "Lucía", "Íñigo"}[i/5%4]+" "+surname, false
				delete(v, "vat")
			}
			if i%9 == 4 {
				v["street2"], v["website"] = "2.º B", "https://club.example/?a=1&b=2"
			}
		}
		for j := range provinces {
			if provinces[j] == place {
				v["state_id"] = j + 1
			}
		}
		all = append(all, b.make("res.partner", "", v))
	}
	return all
}

// sales are 150 over a year: the older, the likelier confirmed.
func (b *builder) sales(products, customers []*record, start, today time.Time) {
	const count = 150
	step := today.Sub(start) / count
	for n := range count {
		at := start.Add(time.Duration(n)*step + time.Duration(b.rng.Int64N(int64(step)))/2)
		b.at(at)
		lines := []any{}
		for range 1 + b.rng.IntN(4) {
			product := products[b.rng.IntN(len(products))]
			line := Values{"product_id": b.follow(product, "product_variant_id").id, "product_uom_qty": float64(1 + b.rng.IntN(12))}
			if b.rng.IntN(6) == 0 {
				line["discount"] = float64(5 * (1 + b.rng.IntN(3)))
			}
			lines = append(lines, []any{cmdCreate, 0, line})
		}
		v := Values{"partner_id": customers[b.rng.IntN(len(customers))].id, "date_order": at, "user_id": b.s.users[0].id, "order_line": lines, "company_id": 1}
		if n%15 == 7 {
			v["company_id"] = 2
		}
		if n%10 == 3 {
			v["client_order_ref"], v["note"] = fmt.Sprintf("Pedido n.º %d \"urgente\"", n), "<p>Llamar antes 📞</p>"
		}
		order := b.make("sale.order", "", v)
		state, odds := "sale", b.rng.IntN(100)
		switch {
		case odds < 8:
			state = "cancel"
		case odds < 8+n*n*60/count/count:
			state = []string{"draft", "sent"}[b.rng.IntN(2)]
		}
		b.put(order, "state", state)
		if state == "sale" && n < count/2 {
			for _, id := range b.children("sale.order.line", "order_id", order.id) {
				line := b.row("sale.order.line", id)
				b.put(line, "qty_delivered", line.values["product_uom_qty"])
			}
			if n%5 == 0 && b.version >= 17 {
				b.put(order, "locked", true)
			} else if n%5 == 0 {
				b.put(order, "state", "done")
			}
		}
	}
}
