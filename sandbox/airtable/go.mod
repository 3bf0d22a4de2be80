module github.com/resonance/resonance/sandbox/airtable

go 1.26.0
