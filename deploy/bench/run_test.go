package main

import (
	"strings"
	"testing"
)

// A run that misses a target fails, and says which.
func TestMissedTargetsFail(t *testing.T) {
	b := &bench{}
	b.add("met", "1/s", "", "", "1/s", true)
	b.add("without a target", "1/s", "", "", "", true)
	if err := b.missed(); err != nil {
		t.Errorf("nothing is missed: %v", err)
	}
	b.add("first sync", "15,000/s", "", "30 %", "20,000/s", false)
	if err := b.missed(); err == nil || !strings.Contains(err.Error(), "first sync") || strings.Contains(err.Error(), "without") {
		t.Errorf("missed: %v", err)
	}
}

func TestOdooFromEnvironment(t *testing.T) {
	for _, name := range []string{"ODOO_TEST_URL", "ODOO_URL"} {
		t.Setenv(name, "")
	}
	if _, there := odooFromEnv(); there {
		t.Error("an Odoo from nowhere")
	}
	t.Setenv("ODOO_URL", "http://127.0.0.1:8069")
	t.Setenv("ODOO_DB", "db")
	if o, there := odooFromEnv(); !there || o.url != "http://127.0.0.1:8069" || o.db != "db" {
		t.Errorf("%+v, %v", o, there)
	}
	t.Setenv("ODOO_TEST_URL", "http://127.0.0.1:8070")
	t.Setenv("ODOO_TEST_DB", "test")
	if o, _ := odooFromEnv(); o.url != "http://127.0.0.1:8070" || o.db != "test" {
		t.Errorf("%+v", o)
	}
}
