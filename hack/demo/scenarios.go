// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/canaryrollout/canaryrollout/api/v1alpha1"
	"github.com/canaryrollout/canaryrollout/test/framework/cluster"
)

// A scene is a part of the demo.
type scene func(*demo, context.Context) error

// A scenario is what happens after the pause at which only testers have version 2.
type scenario struct {
	scenes []scene
	// isBad makes version 2 a bad one, which metrics judge. It needs Prometheus.
	isBad bool
}

// defaultScenario is the undisturbed release.
const defaultScenario = "release"

var scenarios = map[string]scenario{
	defaultScenario: {scenes: []scene{(*demo).promote}},
	"abort":         {scenes: []scene{(*demo).goTo40, (*demo).abort}},
	"bad-version":   {scenes: []scene{(*demo).judge}, isBad: true},
	"supersede":     {scenes: []scene{(*demo).goTo40, (*demo).supersede}},
	"dying-canary":  {scenes: []scene{(*demo).goTo40, (*demo).killCanary}},
	"gitops":        {scenes: []scene{(*demo).goTo40, (*demo).overwrite}},
}

// findScenario returns the named scenario. Its error lists all of them.
func findScenario(name string) (scenario, error) {
	if found, ok := scenarios[name]; ok {
		return found, nil
	}
	return scenario{}, fmt.Errorf("there is no scenario %q; there are: %s", name, strings.Join(slices.Sorted(maps.Keys(scenarios)), ", "))
}

const (
	abortCommand = `kubectl annotate canaryrollout reviews \
  canaryrollout.dev/abort='too many errors'`
	thirdCommand = `kubectl patch canaryrollout reviews --type=json -p '[{"op": "replace",
  "path": "/spec/template/spec/containers/0/image",
  "value": "istio/examples-bookinfo-reviews-v3:1.20.2"}]'`
	gitCommand = `kubectl apply --server-side --force-conflicts --field-manager=gitops \
  -f ` + sample + `/httproute.yaml`
)

// goTo40 promotes, and waits until 40 % of the customers are measured on version 2.
func (d *demo) goTo40(ctx context.Context) error {
	d.out.title("6. The testers are content")
	d.out.text("The steps move the customers from here on: 10, 20, then 40 percent.")
	if err := d.kubectl(ctx, promoteCommand); err != nil {
		return err
	}
	return d.follow(ctx, d.isAt40)
}

func (d *demo) isAt40(rollout *v1alpha1.CanaryRollout) bool {
	stats := d.last(customers)
	return rollout.Status.Weight == "40" && stats.RevisionShare(revision(rollout.Status.Canary)) > 0.35
}

func (d *demo) abort(ctx context.Context) error {
	canary := revision(d.watcher.rollout(ctx).Status.Canary)
	d.out.title("7. Something is wrong with version 2")
	d.out.text("An abort takes all traffic back to version 1 at once, and only then the pods away.")
	asked := time.Now()
	if err := d.kubectl(ctx, abortCommand); err != nil {
		return err
	}
	err := d.follow(ctx, func(rollout *v1alpha1.CanaryRollout) bool {
		return rollout.Status.State == v1alpha1.StateAborted && len(rollout.Status.Memory.Draining) == 0
	})
	if err == nil {
		last := d.traffic.LastAnswer(canary).Sub(asked).Round(10 * time.Millisecond)
		d.out.title(fmt.Sprintf("Version 1 serves everybody. Version 2's last answer came %s after the command", last))
	}
	return err
}

func (d *demo) supersede(ctx context.Context) error {
	second := revision(d.watcher.rollout(ctx).Status.Canary)
	d.out.title("7. Version 3 is there already")
	d.out.text("Nobody waits for version 2. Its traffic goes back to version 1 first, its pods drain, and then version 3 takes " +
		"the same steps from the beginning. No customer is sent to a pod that is about to go.")
	if err := d.kubectl(ctx, thirdCommand); err != nil {
		return err
	}
	err := d.follow(ctx, func(rollout *v1alpha1.CanaryRollout) bool {
		return isWaitingForPromotion(rollout) && revision(rollout.Status.Canary) != second &&
			d.last(customers).RevisionShare(revision(rollout.Status.Stable)) == 1
	})
	if err == nil {
		d.out.title("Version 3 waits at the pause for its testers, and version 1 serves the customers")
	}
	return err
}

func (d *demo) killCanary(ctx context.Context) error {
	canary := revision(d.watcher.rollout(ctx).Status.Canary)
	d.out.title("7. Every pod of version 2 dies")
	d.out.text("A pod here has a switch: with this annotation it refuses connections and is no longer ready. What is sent to " +
		"it in that moment is lost with any tool. No request is lost after that: the share of version 2 goes to version 1.")
	fail := "kubectl annotate pod -l " + v1alpha1.RevisionLabel + "=" + canary + " \\\n  " + cluster.Fail + "="
	d.killed, d.killedAt = canary, time.Now()
	if err := d.kubectl(ctx, fail+"true"); err != nil {
		return err
	}
	d.killedUntil = time.Now().Add(time.Second)
	err := d.follow(ctx, func(rollout *v1alpha1.CanaryRollout) bool {
		return rollout.Status.Memory.Traffic.Weight == 0 && d.last(customers).RevisionShare(revision(rollout.Status.Stable)) == 1
	})
	if err != nil {
		return err
	}
	d.out.title("8. The pods come back")
	d.out.text("They get their share again when they are ready, and the gateway has known that for a while.")
	if err := d.kubectl(ctx, fail+"false --overwrite"); err != nil {
		return err
	}
	err = d.follow(ctx, func(*v1alpha1.CanaryRollout) bool { // the pause may be over by then, and the weight higher
		return d.last(customers).RevisionShare(canary) > 0.35
	})
	if err == nil {
		d.out.title("Version 2 has its share again")
	}
	return err
}

func (d *demo) overwrite(ctx context.Context) error {
	const times = 5
	d.out.title("7. A GitOps tool applies the route from Git, again and again")
	d.out.text("Git says that version 2 gets nothing. A tool that takes the weights back each second would end the release. The " +
		"weights are restored at once, and an Event names the tool.")
	from := time.Now()
	canary := revision(d.watcher.rollout(ctx).Status.Canary)
	for range times {
		if err := d.kubectl(ctx, gitCommand); err != nil {
			return err
		}
		begun := time.Now()
		if err := d.follow(ctx, func(*v1alpha1.CanaryRollout) bool { return time.Since(begun) > time.Second }); err != nil {
			return err
		}
	}
	share := percent(d.traffic.Window(from, time.Now(), customers).RevisionShare(canary))
	d.out.title(fmt.Sprintf("In these seconds version 2 got %d %% of the customers, with 40 %% asked for", share))
	if share < 30 || share > 50 {
		return fmt.Errorf("the other writer had its way")
	}
	return nil
}
