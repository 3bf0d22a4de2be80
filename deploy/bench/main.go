// Command bench measures the product beside its floors in one run, and prints the ratios: absolute
// figures say more about the machine than about the code. It starts .bin/resonance (built by
// `make bench`) with its sandbox, and a Postgres; everything is on loopback and gone afterwards.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"time"
)

type options struct {
	orders   int
	connect  int
	duration time.Duration
	rounds   int
	million  bool
	binary   string
}

func main() {
	if len(os.Args) > 1 && os.Args[1] == "floor" {
		exit(serveFloor(os.Args[2:]))
	}
	var o options
	flag.IntVar(&o.orders, "orders", 100_000, "orders in the sandbox")
	flag.IntVar(&o.connect, "connections", 16, "connections at once")
	flag.DurationVar(&o.duration, "duration", 3*time.Second, "of each measurement")
	flag.IntVar(&o.rounds, "rounds", 3, "how often each measurement is repeated, in turn with its floor")
	flag.BoolVar(&o.million, "million", true, "also measure the summary at 1,000 and at 1,000,000 orders")
	flag.StringVar(&o.binary, "binary", filepath.Join(filepath.Dir(os.Args[0]), "resonance"), "the product")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	exit(run(ctx, o))
}

func exit(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
	os.Exit(0)
}
