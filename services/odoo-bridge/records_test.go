package odoobridge_test

import (
	"time"

	"github.com/resonance/resonance/pkg/rpc/odooapi"
)

// The records that clients get, as they are promised, whatever package erp says.

// productRecord is one that can be sold: Odoo's product.product, whose id a sale's line takes. Odoo's
// numbers are doubles, and their shortest decimal is what Odoo itself shows.
type productRecord struct {
	ID                int64        `json:"id"`
	Name              string       `json:"name"`
	DefaultCode       *string      `json:"default_code"`
	Barcode           *string      `json:"barcode"`
	Type              string       `json:"type"`
	IsStorable        *bool        `json:"is_storable"`
	ListPrice         float64      `json:"list_price"`
	LstPrice          *float64     `json:"lst_price"`
	StandardPrice     *float64     `json:"standard_price"`
	Currency          *odooapi.Ref `json:"currency"`
	Category          *odooapi.Ref `json:"category"`
	UoM               *odooapi.Ref `json:"uom"`
	Template          *odooapi.Ref `json:"template"`
	Company           *odooapi.Ref `json:"company"`
	DescriptionSale   *string      `json:"description_sale"`
	SaleOK            *bool        `json:"sale_ok"`
	PurchaseOK        *bool        `json:"purchase_ok"`
	Weight            *float64     `json:"weight"`
	Volume            *float64     `json:"volume"`
	QtyAvailable      *float64     `json:"qty_available"`
	VirtualAvailable  *float64     `json:"virtual_available"`
	LowStockThreshold *float64     `json:"low_stock_threshold"`
	LowStock          *bool        `json:"low_stock"`
	HasImage          *bool        `json:"has_image"`
	Active            bool         `json:"active"`
	CreatedAt         time.Time    `json:"created_at"`
	UpdatedAt         time.Time    `json:"updated_at"`
}

// partnerRecord is any contact, such as a customer or a supplier: Odoo's res.partner. Without the accounting
// module Odoo does not tell customers from suppliers: both lists hold every company and every contact
// of no company.
type partnerRecord struct {
	ID           int64        `json:"id"`
	Name         *string      `json:"name"`
	Email        *string      `json:"email"`
	Phone        *string      `json:"phone"`
	Mobile       *string      `json:"mobile"`
	Website      *string      `json:"website"`
	VAT          *string      `json:"vat"`
	Ref          *string      `json:"ref"`
	IsCompany    bool         `json:"is_company"`
	Parent       *odooapi.Ref `json:"parent"`
	Street       *string      `json:"street"`
	Street2      *string      `json:"street2"`
	Zip          *string      `json:"zip"`
	City         *string      `json:"city"`
	State        *odooapi.Ref `json:"state"`
	Country      *odooapi.Ref `json:"country"`
	Company      *odooapi.Ref `json:"company"`
	CustomerRank *int64       `json:"customer_rank"`
	SupplierRank *int64       `json:"supplier_rank"`
	HasImage     *bool        `json:"has_image"`
	Active       bool         `json:"active"`
	CreatedAt    time.Time    `json:"created_at"`
	UpdatedAt    time.Time    `json:"updated_at"`
}

// saleRecord is a quotation or an order: Odoo's sale.order. Amounts are in Currency.
type saleRecord struct {
	ID              int64        `json:"id"`
	Name            string       `json:"name"`
	State           string       `json:"state"`
	Locked          *bool        `json:"locked"`
	Partner         *odooapi.Ref `json:"partner"`
	PartnerShipping *odooapi.Ref `json:"partner_shipping"`
	DateOrder       *time.Time   `json:"date_order"`
	ValidityDate    *string      `json:"validity_date"`
	CommitmentDate  *time.Time   `json:"commitment_date"`
	ClientOrderRef  *string      `json:"client_order_ref"`
	Pricelist       *odooapi.Ref `json:"pricelist"`
	PaymentTerm     *odooapi.Ref `json:"payment_term"`
	FiscalPosition  *odooapi.Ref `json:"fiscal_position"`
	AmountUntaxed   float64      `json:"amount_untaxed"`
	AmountTax       float64      `json:"amount_tax"`
	AmountTotal     float64      `json:"amount_total"`
	Currency        *odooapi.Ref `json:"currency"`
	User            *odooapi.Ref `json:"user"`
	Company         *odooapi.Ref `json:"company"`
	Warehouse       *odooapi.Ref `json:"warehouse"`
	InvoiceStatus   *string      `json:"invoice_status"`
	Note            *string      `json:"note"`
	CreatedAt       time.Time    `json:"created_at"`
	UpdatedAt       time.Time    `json:"updated_at"`
	Lines           []saleLine   `json:"lines,omitempty"`
}

// saleLine is a line of a Sale. Amounts are in the sale's currency.
type saleLine struct {
	ID          int64         `json:"id"`
	Product     *odooapi.Ref  `json:"product"`
	Name        string        `json:"name"`
	Qty         float64       `json:"qty"`
	UoM         *odooapi.Ref  `json:"uom"`
	PriceUnit   float64       `json:"price_unit"`
	Discount    float64       `json:"discount"`
	Taxes       []odooapi.Ref `json:"taxes"`
	DisplayType *string       `json:"display_type"`
	Subtotal    float64       `json:"subtotal"`
	Total       float64       `json:"total"`
}

// optionRecord is what a link can be set to.
type optionRecord struct {
	ID      int64        `json:"id"`
	Name    string       `json:"name"`
	Country *odooapi.Ref `json:"country,omitempty"`
}
