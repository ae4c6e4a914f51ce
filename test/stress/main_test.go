// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

// Package stress subjects one app under load to random operations of users, tools and accidents. No request may be
// lost except those to a pod in the second in which the run killed it. None may reach a revision that the rules
// forbid. Each weight must show in the answers. When the disturbances are over, the next release must complete. Runs
// with even seeds use Traefik. Runs with odd ones use a strict gateway that routes later than it reports, with a
// mirror, whose copies must not be lost either, and a probe. The releases through Traefik are judged by metrics: all versions
// are equal, so none may fail. A failed run prints its seed:
//
//	go test ./test/stress -count=1 -timeout=40m -seed=42 -duration=20m
package stress

import (
	"cmp"
	"flag"
	"testing"
	"time"

	"github.com/canaryrollout/canaryrollout/test/framework/cluster"
	"github.com/canaryrollout/canaryrollout/test/framework/harness"
	"github.com/canaryrollout/canaryrollout/test/stress/script"
)

var (
	seedFlag     = flag.Uint64("seed", 0, "the seed of one run; 0 does two, by the clock: through Traefik and through the strict gateway")
	durationFlag = flag.Duration("duration", 0, "how long one run disturbs; 0 is that of the short form")
)

// env is one cluster with one operator for all runs; each has its own namespace.
var env = &harness.Env{}

func TestMain(m *testing.M) {
	flag.Parse()
	harness.Main(m, env, harness.EnvOptions{Cluster: cluster.Options{LateEndpoints: true, Prometheus: true}})
}

// run is a script to run. Its seed and duration are enough to repeat it.
type run struct {
	seed     uint64
	duration time.Duration
}

// runs returns the runs that the flags ask for; without flags, the short form.
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

// isStrict reports whether a run uses the strict gateway.
func (r run) isStrict() bool { return r.seed%2 == 1 }
