// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/canaryrollout/canaryrollout/api/v1alpha1"
	"github.com/canaryrollout/canaryrollout/test/framework/cluster/load"
)

// addAnalysis gives the rollout steps that are judged by metrics.
func (d *demo) addAnalysis(ctx context.Context) error {
	d.out.text("Prometheus scrapes the gateway. Of each release, a tenth of the customers come first, and an analysis compares the " +
		"errors of the two versions. It continues when the new one is known to be good. One that is known to be worse is aborted, " +
		"with a chance of at most 1 %% that this is wrong.")
	if err := d.kubectl(ctx, showAnalysisCommand); err != nil {
		return err
	}
	if err := d.kubectl(ctx, analysisCommand); err != nil {
		return err
	}
	return d.follow(ctx, isHealthy)
}

// judge promotes the bad version, and waits until the release has aborted itself.
func (d *demo) judge(ctx context.Context) error {
	d.out.title("6. The testers are content: they are too few to notice")
	d.out.text("A tenth of the customers get version 2 now. In the line below, evidence is how far the comparison has come towards a " +
		"verdict against it. Nobody touches anything from here on.")
	promoted := time.Now()
	if err := d.kubectl(ctx, promoteCommand); err != nil {
		return err
	}
	var aborted time.Time
	err := d.follow(ctx, func(rollout *v1alpha1.CanaryRollout) bool {
		state := rollout.Status.State
		if aborted.IsZero() && (state == v1alpha1.StateAborting || state == v1alpha1.StateAborted) {
			aborted = time.Now()
		}
		isOver := state == v1alpha1.StateAborted || isHealthy(rollout)
		return isOver && len(rollout.Status.Memory.Draining) == 0
	})
	if err != nil {
		return err
	}
	if aborted.IsZero() {
		return errors.New("version 2 was promoted, although 3 % of its answers are errors")
	}
	met, sent := 0, 0
	for _, result := range d.traffic.Results(func(r load.Result) bool { return r.Stream == customers }) {
		sent++
		if d.isBadAnswer(result) {
			met++
		}
	}
	d.out.title(fmt.Sprintf("Version 2 was aborted %.0f seconds after the first customers got it", aborted.Sub(promoted).Seconds()))
	d.out.text("Nobody had to look. %d of %d requests of customers met an error. For everybody, version 2 would have had %d errors a "+
		"minute.", met, sent, rate*60*badPercent/100)
	return nil
}
