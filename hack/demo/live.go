// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/canaryrollout/canaryrollout/api/v1alpha1"
	"github.com/canaryrollout/canaryrollout/test/framework/cluster/backend"
	"github.com/canaryrollout/canaryrollout/test/framework/cluster/load"
)

// shown is the period that the live line measures.
const shown = 2 * time.Second

// show prints what is new since the last call.
func (d *demo) show(rollout *v1alpha1.CanaryRollout) {
	for _, event := range d.watcher.events() {
		color := ""
		if event.Type == corev1.EventTypeWarning {
			color = red
		}
		d.out.entry(event.EventTime.Sub(d.began), color, event.Note)
	}
	d.showLost()
	v := d.view(rollout)
	if v.state == "" {
		return // the operator has not processed it yet
	}
	if d.out.live {
		d.out.setStatus(d.out.style.line(v, d.out.width()-len("^C")-1))
	} else if d.worthPrinting(v) {
		d.printed, d.printedAt = v, time.Now()
		d.out.entry(time.Since(d.began), "", v.String())
	}
}

// view describes the revision in status.revision: the one in flight, or the stable one at rest.
func (d *demo) view(rollout *v1alpha1.CanaryRollout) view {
	status := rollout.Status
	v := view{step: status.Step, state: status.State, measured: -1, evidence: -1}
	for _, release := range status.History {
		if release.Revision == status.Revision {
			v.version = backend.Version(release.Images)
			break
		}
	}
	for _, metric := range status.Analysis {
		v.evidence = max(v.evidence, int(metric.FailureEvidence))
	}
	v.verified, v.desired = shares(status.Weight)
	if d.traffic != nil {
		if stats := d.last(customers); stats.Sent > stats.Failed {
			v.measured = percent(stats.RevisionShare(status.Revision))
		}
	}
	return v
}

// last returns the latest answers to one of the two kinds of clients.
func (d *demo) last(stream string) load.Stats {
	now := time.Now()
	return d.traffic.Window(now.Add(-shown), now, stream)
}

// worthPrinting keeps output other than a terminal readable: only changes, at most one per second, and only larger
// ones of the measured share, because it follows each weight gradually.
func (d *demo) worthPrinting(v view) bool {
	last := d.printed
	if d.printedAt.Add(time.Second).After(time.Now()) {
		return false
	}
	moved := max(abs(v.measured-last.measured), abs(v.evidence-last.evidence))
	v.measured, v.evidence = last.measured, last.evidence
	return v != last || moved >= 5
}

func abs(n int) int { return max(n, -n) }

// showLost reports failed requests as soon as they fail, but only the first few.
func (d *demo) showLost() {
	if d.traffic == nil {
		return
	}
	const enough = 5
	lost := len(d.traffic.Results(func(r load.Result) bool { return r.Err != nil && !d.isBadAnswer(r) }))
	if lost > d.lostShown && d.lostShown < enough {
		failures := slices.DeleteFunc(d.traffic.Failures(), d.isBadAnswer)
		for _, failure := range failures[d.lostShown:min(lost, enough)] {
			d.out.entry(failure.Start.Sub(d.began), red, fmt.Sprintf("LOST: %v (%s)", failure.Err, cmp.Or(failure.Pod, "no pod")))
		}
	}
	d.lostShown = lost
}

// follow shows progress until done returns true twice in a row: an Event arrives slightly after the status it refers
// to.
func (d *demo) follow(ctx context.Context, done func(*v1alpha1.CanaryRollout) bool) error {
	tick := time.NewTicker(refresh)
	defer tick.Stop()
	defer d.out.setStatus("")
	for wasDone := false; ; {
		rollout := d.watcher.rollout(ctx)
		d.show(rollout)
		isDone := done(rollout)
		if isDone && wasDone {
			return nil
		}
		wasDone = isDone
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-d.stage.operator.Done():
			return errors.New("the operator has ended")
		case now := <-tick.C:
			if !d.deadline.IsZero() && now.After(d.deadline) {
				return fmt.Errorf("out of time; the rollout is %s at step %s: %s", rollout.Status.State,
					rollout.Status.Step, rollout.Status.Message)
			}
		}
	}
}
