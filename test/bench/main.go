// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/go-logr/logr"
	"sigs.k8s.io/controller-runtime/pkg/log"

	"github.com/canaryrollout/canaryrollout/test/framework/cluster"
)

// options are the values of the flags.
type options struct {
	sizes     []int
	runs      int
	scenarios []string
	baseline  string
	args      []string
	idle      time.Duration
	samples   int
	profile   time.Duration
	out       string
	timeout   time.Duration
}

func main() {
	o := &options{sizes: []int{50}}
	o.define(flag.CommandLine)
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	if err := o.run(ctx); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func (o *options) define(flags *flag.FlagSet) {
	flags.Func("n", "how many rollouts, separated by commas: all is measured for each of these numbers, and cost.svg shows the cost over them (default 50)",
		func(value string) error { return o.setSizes(value) })
	flags.IntVar(&o.runs, "runs", 3, "how often each is measured; the tables have the medians")
	flags.Func("scenarios", "which of "+strings.Join(scenarioNames(), ", ")+" to measure, separated by commas (default all)",
		func(value string) error { return o.setScenarios(value) })
	flags.StringVar(&o.baseline, "baseline", "", "a commit to compare with: its manager is built and measured in turns with that of the working tree")
	flags.Func("args", "flags of the present manager, separated by spaces; that of the baseline has its defaults",
		func(value string) error { o.args = strings.Fields(value); return nil })
	flags.DurationVar(&o.idle, "idle", 2*time.Minute, "how long idle rollouts are measured")
	flags.IntVar(&o.samples, "samples", 100, "how many latencies a scenario measures, within two minutes")
	flags.DurationVar(&o.profile, "profile", 0, "how much of each fleet to profile, from its start; profiles slow it down")
	flags.StringVar(&o.out, "out", "dist/bench", "folder for the results")
	flags.DurationVar(&o.timeout, "timeout", time.Hour, "how long one turn may take: one version with one number of rollouts")
}

func (o *options) setSizes(value string) error {
	o.sizes = nil
	for field := range strings.SplitSeq(value, ",") {
		n, err := strconv.Atoi(field)
		if err != nil || n < 1 || n > 5000 {
			return fmt.Errorf("%q is not a number from 1 to 5000", field)
		}
		o.sizes = append(o.sizes, n)
	}
	slices.Sort(o.sizes)
	return nil
}

func (o *options) setScenarios(value string) error {
	o.scenarios = strings.Split(value, ",")
	for _, name := range o.scenarios {
		if !slices.Contains(scenarioNames(), name) {
			return fmt.Errorf("there is no scenario %q", name)
		}
	}
	return nil
}

func (o *options) measures(scenario string) bool {
	return o.scenarios == nil || slices.Contains(o.scenarios, scenario)
}

// run builds everything on the host, and measures inside the namespaces of the cluster.
func (o *options) run(ctx context.Context) error {
	config := cluster.Options{Gateway: cluster.NoGateway, AuditEveryone: true}
	versions, err := prepare(ctx, o)
	if err != nil {
		return err
	}
	if err := cluster.Build(ctx, os.Stderr, config); err != nil {
		return err
	}
	if err := os.Setenv(profilerVariable, profilerAddress); err != nil {
		return err
	}
	cluster.Isolate()
	log.SetLogger(logr.Discard()) // otherwise controller-runtime complains that no logger was set
	return o.measure(ctx, config, versions)
}

// measure takes turns. What has been measured is kept if a turn fails.
func (o *options) measure(ctx context.Context, config cluster.Options, versions []version) error {
	measured, failed := newResults(o), []error(nil)
	for _, n := range o.sizes {
		for run := range o.runs {
			for _, v := range versions {
				name := fmt.Sprintf("%d rollouts, run %d of %d, %s", n, run+1, o.runs, v.Name)
				if err := turn(ctx, o, config, v, n, measured); err != nil {
					failed = append(failed, fmt.Errorf("%s: %w", name, err))
				}
				if err := measured.write(o.out); err != nil {
					return err
				}
				if ctx.Err() != nil {
					return errors.Join(failed...)
				}
				fmt.Fprintln(os.Stderr, "measured", name)
			}
		}
	}
	fmt.Print(measured.markdown())
	return errors.Join(failed...)
}

// turn measures one version with n rollouts in a cluster of its own.
func turn(ctx context.Context, o *options, config cluster.Options, v version, n int, measured *results) (err error) {
	ctx, cancel := context.WithTimeoutCause(ctx, o.timeout, fmt.Errorf("not measured within %s, see -timeout", o.timeout))
	defer cancel()
	s, err := newStage(ctx, o, config, v, n)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.stop(err != nil)) }()
	for _, scenario := range scenarios {
		if !o.measures(scenario.name) {
			continue
		}
		s.record = func(figure, unit string, value float64) {
			measured.add(v.Name, n, scenario.name, figure, unit, value)
		}
		began := time.Now()
		if err := scenario.run(ctx, s); err != nil {
			return fmt.Errorf("%s: %w", scenario.name, errors.Join(err, context.Cause(ctx)))
		}
		fmt.Fprintf(os.Stderr, "%d rollouts, %s: %s took %s\n", n, v.Name, scenario.name, time.Since(began).Round(time.Second))
	}
	return nil
}
