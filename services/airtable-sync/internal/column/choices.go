package column

import (
	"slices"
	"strings"

	"golang.org/x/text/cases"
	"golang.org/x/text/unicode/norm"

	"github.com/resonance/resonance/pkg/columns"
	"github.com/resonance/resonance/services/airtable-sync/internal/airtable"
)

// meanings are the words for each canonical value in English, Spanish and Portuguese, the likeliest first,
// folded as names are.
var meanings = map[Column]map[string][]string{
	Status: {
		"Pending":    {"pending", "pendiente", "pendente"},
		"Processing": {"processing", "in progress", "in process", "en proceso", "procesando", "en curso", "em processamento", "processando", "em andamento", "em curso", "em processo"},
		"Sent":       {"sent", "shipped", "dispatched", "enviado", "enviada", "despachado", "despachada", "expedido"},
		"Delivered":  {"delivered", "entregado", "entregada", "entregue"},
		"Cancelled":  {"cancelled", "canceled", "cancelado", "cancelada", "anulado", "anulada"},
	},
	Priority: {
		"Low":    {"low", "baja", "bajo", "baixa", "baixo"},
		"Medium": {"medium", "media", "medio"},
		"High":   {"high", "alta", "alto"},
	},
}

// meaningsOf gives the words for each canonical value of a column: those known, else the table's own.
func meaningsOf(c Column) map[string][]string {
	if words, known := meanings[c]; known {
		return words
	}
	words := map[string][]string{}
	for _, v := range c.core().Values {
		words[v.Name] = []string{fold(v.Name), fold(v.Title.EN), fold(v.Title.ES)}
	}
	return words
}

// canonicalChoices gives for each choice the canonical value it has, "" if none. Of several with one
// meaning the likeliest word has it, and the value's own word before all: choices are never merged.
func canonicalChoices(c Column, choices []airtable.Choice) []string {
	values := make([]string, len(choices))
	for value, words := range meaningsOf(c) {
		best, at := len(words)+1, -1
		for i, choice := range choices {
			place := slices.Index(words, fold(choice.Name)) + 1
			if choice.Name == value {
				place = 0
			} else if place == 0 {
				continue
			}
			if place < best {
				best, at = place, i
			}
		}
		if at >= 0 {
			values[at] = value
		}
	}
	return values
}

// vocabulary is how the choices of a base appear as an order's values, and back.
type vocabulary struct {
	offers []columns.Offer
	values map[string]string // by the base's own word, exactly
	words  map[string]string // by value
	folded map[string]string // values by what folding makes of them and of the base's words; nil for a select
}

// newVocabulary names the values: those that are canonical, and the others as the base has them, without
// outer spaces and differences of Unicode normalisation where that leaves them apart.
func newVocabulary(c Column, choices []airtable.Choice) *vocabulary {
	v := &vocabulary{values: map[string]string{}, words: map[string]string{}}
	values := canonicalChoices(c, choices)
	for i, choice := range choices {
		if values[i] != "" {
			v.words[values[i]] = choice.Name
		}
	}
	for i, choice := range choices {
		value := values[i]
		if value == "" {
			if value = tidy(choice.Name); v.words[value] != "" || value == "" {
				value = choice.Name
			}
			v.words[value] = choice.Name
		}
		v.values[choice.Name] = value
		v.offers = append(v.offers, columns.Offer{Value: value, Title: choice.Name})
	}
	return v
}

// tidy is s without outer spaces, in the usual Unicode form.
func tidy(s string) string { return norm.NFC.String(strings.TrimSpace(s)) }

// loosen makes words that people write by hand count as the choices that they can only mean: in a text that was a
// select, case, outer spaces and Unicode form are nobody's intent.
func (v *vocabulary) loosen() {
	v.folded = map[string]string{}
	for _, o := range v.offers {
		for _, word := range []string{o.Title, o.Value} {
			key := caseless(word)
			if value, known := v.folded[key]; known && value != o.Value {
				v.folded[key] = "" // choices are never merged
			} else {
				v.folded[key] = o.Value
			}
		}
	}
}

// caseless is a word without differences of case, outer spaces and Unicode form.
func caseless(word string) string { return norm.NFC.String(cases.Fold().String(tidy(word))) }

// value is how a word of the base appears in orders.
func (v *vocabulary) value(word string) string {
	if v != nil {
		if value, ok := v.values[word]; ok {
			return value
		}
		if v.folded != nil {
			if value := v.folded[caseless(word)]; value != "" {
				return value
			}
		}
	}
	return tidy(word)
}

// word is what is to be written for a value: the base's own word, the value itself if it has none.
func (v *vocabulary) word(value string) string {
	if v != nil {
		if word, ok := v.words[value]; ok {
			return word
		}
	}
	return value
}

func (v *vocabulary) offersOrNone() []columns.Offer {
	if v == nil {
		return nil
	}
	return v.offers
}
