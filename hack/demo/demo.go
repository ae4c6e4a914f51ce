// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"strings"
	"time"

	"github.com/canaryrollout/canaryrollout/api/v1alpha1"
	"github.com/canaryrollout/canaryrollout/test/framework/cluster"
	"github.com/canaryrollout/canaryrollout/test/framework/cluster/load"
)

const (
	sample      = "config/samples/reviews"
	namespace   = "default"
	rolloutName = "reviews"
	host        = "www.bookinfo.com"
	path        = "/reviews"

	// rate is requests per second. Every tenth comes from a tester, with a header; the others come from customers.
	rate      = 100
	testers   = "role: qa"
	customers = ""
)

// demo is the state of one run.
type demo struct {
	scenario
	out     *screen
	stage   *stage
	watcher *watcher
	traffic *load.Generator
	began   time.Time
	// deadline is zero once a person is in control.
	deadline time.Time

	// killed is the revision whose pods the demo killed, and when: requests to them may fail.
	killed                string
	killedAt, killedUntil time.Time

	lostShown int
	printed   view
	printedAt time.Time
}

// lostError reports that requests failed.
type lostError struct{ failed, sent int }

func (e *lostError) Error() string {
	return fmt.Sprintf("%d of %d requests failed, where none may", e.failed, e.sent)
}

// run runs the demo inside the namespaces. Logs are kept only if something went wrong.
func run(ctx context.Context, out *screen, o options) error {
	chosen, err := findScenario(o.scenario)
	if err != nil {
		return err
	}
	stage, err := newStage(o.cluster())
	if err != nil {
		return err
	}
	now := time.Now()
	d := &demo{scenario: chosen, out: out, stage: stage, began: now, deadline: now.Add(o.timeout)}
	err = d.play(ctx, o)
	err = errors.Join(err, out.await("stopping everything", d.close), d.account())
	if err != nil && (ctx.Err() == nil || errors.As(err, new(*lostError))) {
		return fmt.Errorf("%w\nThe logs are in %s", err, stage.dir)
	}
	return errors.Join(err, os.RemoveAll(stage.dir))
}

func (d *demo) play(ctx context.Context, o options) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel() // stops watching before the cluster stops
	rest := d.scenes
	if o.hold {
		rest = []scene{(*demo).handOver}
	}
	scenes := []scene{(*demo).setUp, (*demo).deploy, (*demo).sendRequests, (*demo).upgrade, (*demo).compare}
	for _, scene := range append(scenes, rest...) {
		if err := scene(d, ctx); err != nil {
			return err
		}
	}
	return nil
}

// close stops the requests before the servers.
func (d *demo) close() error {
	if d.traffic != nil {
		d.traffic.Stop()
	}
	return d.stage.close()
}

func (d *demo) setUp(ctx context.Context) error {
	d.out.title("1. A cluster of its own")
	with := ""
	if d.isBad {
		with = " and Prometheus"
	}
	d.out.text("etcd, the API server, its controllers and the scheduler run as processes in private namespaces of this "+
		"machine, with a gateway (%s)%s. Pods have no containers here: a small server answers at the address of each.", d.stage.options.Gateway, with)
	if err := d.out.await("starting the cluster", func() error { return d.stage.startCluster(ctx) }); err != nil {
		return err
	}
	if err := d.out.await("starting the operator", func() error { return d.stage.startOperator(ctx) }); err != nil {
		return err
	}
	watcher, err := watch(ctx, d.stage.cluster.RESTConfig(cluster.Admin))
	d.watcher = watcher
	return err
}

func (d *demo) deploy(ctx context.Context) error {
	d.out.title("2. Version 1")
	d.out.text("The sample is two Services, an HTTPRoute that has both as backends, and a CanaryRollout, which takes the " +
		"place of a Deployment.")
	if err := d.kubectl(ctx, deployCommand); err != nil {
		return err
	}
	if err := d.follow(ctx, isHealthy); err != nil || !d.isBad {
		return err
	}
	return d.addAnalysis(ctx)
}

func isHealthy(rollout *v1alpha1.CanaryRollout) bool {
	return rollout.Status.State == v1alpha1.StateHealthy && rollout.Status.ObservedGeneration == rollout.Generation
}

// sendRequests starts the requests, and waits until every customer is served.
func (d *demo) sendRequests(ctx context.Context) error {
	d.out.title("3. Customers and testers")
	d.out.text("%d requests a second come in from now on. Every tenth has the header %q, as testers would send it. Each "+
		"is sent once, and counts as failed when it fails.", rate, testers)
	d.startTraffic()
	return d.follow(ctx, func(rollout *v1alpha1.CanaryRollout) bool {
		stats := d.last(customers)
		return stats.Sent > rate && stats.RevisionShare(rollout.Status.Revision) == 1
	})
}

// upgrade changes the image and waits for the pause.
func (d *demo) upgrade(ctx context.Context) error {
	d.out.title("4. A new image starts a release")
	command, desired := upgradeCommand, "desired is what the steps ask for, "
	if d.isBad {
		command, desired = badUpgradeCommand, ""
	}
	d.out.text("The steps start one pod of version 2, send it the testers' requests alone, and wait for a person. In the line "+
		"below, %sverified is what the gateway has confirmed, and measured is what customers got in the last 2 seconds.", desired)
	if d.isBad {
		d.out.text("This version 2 has a bug that nobody knows of yet: %d %% of its answers are errors.", badPercent)
	}
	if err := d.kubectl(ctx, command); err != nil {
		return err
	}
	return d.follow(ctx, isWaitingForPromotion)
}

func isWaitingForPromotion(rollout *v1alpha1.CanaryRollout) bool {
	status := rollout.Status
	return status.State == v1alpha1.StatePaused && status.Pause != nil && status.Pause.Until == nil
}

func (d *demo) startTraffic() {
	key, value, _ := strings.Cut(testers, ": ")
	d.traffic = load.Start(context.Background(), load.Options{
		URL: "http://" + cluster.GatewayAddress + path, Host: host, Rate: rate,
		Streams:   []load.Stream{{Name: testers, Share: 0.1, Headers: map[string]string{key: value}}},
		AccessLog: d.stage.cluster.AccessLog(), PodAt: d.stage.pods.PodAt,
	})
}

// compare waits until, for the measured period, testers have only reached version 2, and customers only version 1.
func (d *demo) compare(ctx context.Context) error {
	d.out.title("5. The pause: who gets what?")
	var tested, bought load.Stats
	err := d.follow(ctx, func(rollout *v1alpha1.CanaryRollout) bool {
		tested, bought = d.last(testers), d.last(customers)
		return tested.RevisionShare(revision(rollout.Status.Canary)) == 1 &&
			bought.RevisionShare(revision(rollout.Status.Stable)) == 1
	})
	if err != nil {
		return err
	}
	d.out.line("  answers of the last 2 seconds       v1     v2")
	d.out.line(fmt.Sprintf("  to customers                     %5d  %5d", bought.ByVersion["v1"], bought.ByVersion["v2"]))
	d.out.line(fmt.Sprintf("  to testers, with %q       %5d  %5d", testers, tested.ByVersion["v1"], tested.ByVersion["v2"]))
	return nil
}

func (d *demo) promote(ctx context.Context) error {
	old := revision(d.watcher.rollout(ctx).Status.Stable)
	d.out.title("6. The testers are content")
	d.out.text("From here on the steps move the customers, to 10, 20, 40, 60 and 100 percent. Before each weight come the pods for it, " +
		"and no step ends before the gateway has confirmed its weight. At the end version 2 takes version 1's place.")
	if err := d.kubectl(ctx, promoteCommand); err != nil {
		return err
	}
	err := d.follow(ctx, func(rollout *v1alpha1.CanaryRollout) bool {
		stable := revision(rollout.Status.Stable)
		return isHealthy(rollout) && stable != old && d.last(customers).RevisionShare(stable) == 1
	})
	if err == nil {
		d.out.title("Version 2 is stable and serves everybody")
		d.out.text("And if version 2 is bad? A release that notices it by itself: make demo ARGS=--scenario=bad-version")
	}
	return err
}

func revision(status *v1alpha1.RevisionStatus) string {
	if status == nil {
		return ""
	}
	return status.Revision
}

// account prints the outcome of all requests.
func (d *demo) account() error {
	if d.traffic == nil {
		return nil
	}
	total, lost := d.traffic.Total(), d.lost()
	color := green
	if lost > 0 {
		color = red
	}
	bad := len(d.traffic.Results(d.isBadAnswer))
	outcome := fmt.Sprintf("%d requests sent, %d failed", total.Sent, lost)
	if d.isBad {
		outcome = fmt.Sprintf("%d requests sent, %d lost, %d answered with an error by version 2", total.Sent, lost, bad)
	}
	d.out.line(d.out.style.paint(color, outcome))
	if dead := total.Failed - lost - bad; dead > 0 {
		d.out.text("(%d more were sent to the pods that the demo let die, in the second in which it did.)", dead)
	}
	if total.Skipped > 0 {
		d.out.text("(%d more were due, but this machine was too busy to send them.)", total.Skipped)
	}
	if lost > 0 {
		return &lostError{lost, total.Sent}
	}
	return nil
}

// lost counts failed requests, except those that the demo itself caused.
func (d *demo) lost() (lost int) {
	for _, failure := range d.traffic.Failures() {
		if !d.isKilled(failure) && !d.isBadAnswer(failure) {
			lost++
		}
	}
	return lost
}

// isBadAnswer reports whether a pod of the bad version itself answered with an error.
func (d *demo) isBadAnswer(r load.Result) bool {
	return d.isBad && r.Status == http.StatusInternalServerError && r.Version == "v2"
}

// isKilled reports whether a request failed because of the pods that the demo killed.
func (d *demo) isKilled(failure load.Result) bool {
	return d.killed != "" && failure.Start.After(d.killedAt) && failure.Start.Before(d.killedUntil) &&
		(failure.Pod == "" || strings.HasPrefix(failure.Pod, rolloutName+"-"+d.killed+"-"))
}
