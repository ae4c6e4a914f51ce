// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

// Package stress does to one app, under load, whatever users, tools and accidents do, in a random order. No request may be
// lost but those that a pod was asked for in the second in which the run killed it; none may reach a revision that the
// rules forbid; each weight has to be seen in the answers; and when all is calm again, the next release has to come to its
// end. A failed run prints its seed:
//
//	go test ./test/stress -count=1 -timeout=40m -seed=42 -duration=20m
package stress

import (
	"flag"
	"os"
	"slices"
	"testing"
	"time"

	"github.com/canaryrollout/canaryrollout/test/app"
	"github.com/canaryrollout/canaryrollout/test/cluster"
	"github.com/canaryrollout/canaryrollout/test/stress/script"
)

var (
	seedFlag     = flag.Uint64("seed", 0, "the seed of one run; 0 takes the clock")
	durationFlag = flag.Duration("duration", 0, "how long one run disturbs; 0 is that of the short form")
	shortFlag    = flag.Bool("short-form", false, "do the kept runs, and a minute of each of a few fixed seeds")
)

// env is one cluster with one operator for all runs; each has a namespace of its own.
var env = &app.Env{}

func TestMain(m *testing.M) {
	if flag.Parse(); len(runs()) == 0 {
		os.Exit(m.Run()) // which says how to ask for one
	}
	app.Main(m, env, app.EnvOptions{Cluster: cluster.Options{LateEndpoints: true}})
}

// run is a script to be done. Its seed and duration are all that it takes to do it again.
type run struct {
	seed     uint64
	duration time.Duration
}

// kept are runs that have failed once, each with a comment on what it found, as in {42, time.Minute}. They are part of the
// short form.
var kept []run

// runs are those that the flags ask for.
func runs() []run {
	if *seedFlag == 0 && *durationFlag == 0 && !*shortFlag {
		return nil
	}
	if *shortFlag {
		all := slices.Clone(kept)
		for _, seed := range script.Short {
			all = append(all, run{seed, script.ShortForm})
		}
		return all
	}
	asked := run{*seedFlag, *durationFlag}
	if asked.seed == 0 {
		asked.seed = uint64(time.Now().Unix())
	}
	if asked.duration == 0 {
		asked.duration = script.ShortForm
	}
	return []run{asked}
}
