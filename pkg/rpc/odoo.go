package rpc

// OdooResources are the resources odoo-bridge serves, by their names in URLs and subjects.
var OdooResources = []string{"products", "suppliers", "customers", "sales"}

// OdooSubject is where verb of resource is served: odoo.<resource>.<verb>.
func OdooSubject(resource, verb string) string { return "odoo." + resource + "." + verb }
