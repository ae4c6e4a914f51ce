// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

// Package stress does to one app, under load, whatever users, tools and accidents do, in a random order. No request may be
// lost but those that a pod was asked for in the second in which the run killed it; none may reach a revision that the
// rules forbid; each weight has to be seen in the answers; and when all is calm again, the next release has to come to its
// end. Runs with even seeds go through Traefik; those with odd ones through a strict gateway that routes later than it
// reports, with a mirror, of whose copies none may be lost either, and a probe. A failed run prints its seed:
//
//	go test ./test/stress -count=1 -timeout=40m -seed=42 -duration=20m
package stress

import (
	"cmp"
	"flag"
	"testing"
	"time"

	"github.com/canaryrollout/canaryrollout/test/app"
	"github.com/canaryrollout/canaryrollout/test/cluster"
	"github.com/canaryrollout/canaryrollout/test/stress/script"
)

var (
	seedFlag     = flag.Uint64("seed", 0, "the seed of one run; 0 does two, by the clock: through Traefik and through the strict gateway")
	durationFlag = flag.Duration("duration", 0, "how long one run disturbs; 0 is that of the short form")
)

// env is one cluster with one operator for all runs; each has a namespace of its own.
var env = &app.Env{}

func TestMain(m *testing.M) {
	flag.Parse()
	app.Main(m, env, app.EnvOptions{Cluster: cluster.Options{LateEndpoints: true}})
}

// run is a script to be done. Its seed and duration are all that it takes to do it again.
type run struct {
	seed     uint64
	duration time.Duration
}

// runs are those that the flags ask for; without flags, the short form.
func runs() (all []run) {
	if *seedFlag == 0 && *durationFlag == 0 {
		for _, seed := range script.Short {
			all = append(all, run{seed, script.ShortForm})
		}
		return all
	}
	duration := cmp.Or(*durationFlag, script.ShortForm)
	if *seedFlag != 0 {
		return []run{{*seedFlag, duration}}
	}
	even := uint64(time.Now().Unix()) &^ 1
	return []run{{even, duration}, {even + 1, duration}}
}

// isStrict says which gateway a run goes through.
func (r run) isStrict() bool { return r.seed%2 == 1 }
