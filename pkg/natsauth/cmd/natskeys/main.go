// Command natskeys makes the keys, the certificates and the accounts of a NATS server for Resonance.
package main

import (
	"flag"
	"fmt"
	"os"
	"strings"

	"github.com/resonance/resonance/pkg/natsauth"
)

func main() {
	dir := flag.String("dir", "deploy/nats/keys", "where they are kept; keys that are there stay")
	hosts := flag.String("hosts", "localhost,127.0.0.1,nats", "names and addresses of the servers, for their certificate")
	flag.Usage = func() {
		fmt.Fprintln(flag.CommandLine.Output(), "natskeys [-dir DIR] [-hosts NAME,…] [PROGRAM …]: a key for each service, for people, and for each of the other programs named")
		flag.PrintDefaults()
	}
	flag.Parse()
	_, err := natsauth.MakeKeys(*dir, flag.Args()...)
	if err == nil {
		err = natsauth.MakeCertificates(*dir, strings.Split(*hosts, ",")...)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "natskeys:", err)
		os.Exit(1)
	}
}
