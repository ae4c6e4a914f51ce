// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

package analysis

import (
	"cmp"
	"fmt"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/yaml"

	"github.com/canaryrollout/canaryrollout/api/v1alpha1"
	"github.com/canaryrollout/canaryrollout/test/framework/builder"
	"github.com/canaryrollout/canaryrollout/test/framework/cluster"
	"github.com/canaryrollout/canaryrollout/test/framework/cluster/backend"
	"github.com/canaryrollout/canaryrollout/test/framework/cluster/load"
	"github.com/canaryrollout/canaryrollout/test/framework/harness"
	"github.com/canaryrollout/canaryrollout/test/framework/repository"
)

// Counters of Traefik for one of the two Services, as the shipped CanaryMetrics select them.
var (
	requests, errors = shipped("traefik-errors")
	answers, fast    = shipped("traefik-latency")
)

// shipped returns the counters of a CanaryMetric in config/samples/metrics/traefik.yaml, with the defaults of its arguments.
func shipped(name string) (total, part string) {
	content, err := os.ReadFile(repository.Path("config", "samples", "metrics", "traefik.yaml"))
	if err != nil {
		panic(err)
	}
	for document := range strings.SplitSeq(string(content), "\n---\n") {
		metric := &v1alpha1.CanaryMetric{}
		if err := yaml.UnmarshalStrict([]byte(document), metric); err != nil {
			panic(err)
		}
		if metric.Name != name {
			continue
		}
		values := make([]string, 0, 2*len(metric.Spec.Arguments))
		for _, argument := range metric.Spec.Arguments {
			values = append(values, "{{args."+argument.Name+"}}", *argument.Default)
		}
		bind := strings.NewReplacer(values...)
		return bind.Replace(metric.Spec.Compare.Total), bind.Replace(cmp.Or(metric.Spec.Compare.Bad, metric.Spec.Compare.Good))
	}
	panic("there is no CanaryMetric " + name)
}

// interval is the time between two measurements: that between two scrapes.
var interval = &metav1.Duration{Duration: cluster.ScrapeInterval}

// rarely is the chance of a false alarm, in percent, where one would fail the test.
const rarely = "0.1"

// errorRate compares the shares of errors. absolute is the share, in percent, that is tolerated in any case, and falseAlarm the
// chance of a wrong failure.
func errorRate(absolute, falseAlarm string) v1alpha1.Metric {
	return v1alpha1.Metric{Name: "errors", MetricSource: v1alpha1.MetricSource{Compare: &v1alpha1.Comparison{
		Total: requests, Bad: errors, Tolerance: v1alpha1.Tolerance{Absolute: absolute}, FalseAlarm: falseAlarm, Interval: interval,
	}}}
}

// latency compares the shares of requests that took more than 300 ms.
func latency() v1alpha1.Metric {
	return v1alpha1.Metric{Name: "latency", MetricSource: v1alpha1.MetricSource{Compare: &v1alpha1.Comparison{
		Total: answers, Good: fast, FalseAlarm: rarely, Interval: interval,
	}}}
}

// app is an app whose versions may be bad.
type app struct {
	*harness.App
	t *testing.T
	// versions counts the versions released so far.
	versions int
	// excuses are for the errors of bad versions.
	excuses []harness.Excuse
}

// environment is what the pods of a version get.
type environment map[string]string

// options configures an app.
type options struct {
	// name distinguishes the apps of one test.
	name string
	// rate is requests per second.
	rate     float64
	analysis *v1alpha1.Analysis
	steps    []v1alpha1.Step
	// first is the environment of version 1.
	first environment
}

// start deploys version 1 of an app.
func start(t *testing.T, o options) *app {
	t.Helper()
	a := &app{t: t, versions: 1}
	a.App = harness.Start(t, env, harness.Options{Namespace: o.name, Steps: o.steps, Rate: o.rate, Edit: func(r *v1alpha1.CanaryRollout) {
		r.Spec.Analysis = o.analysis
		setEnvironment(r, o.first)
	}})
	a.excuse(a.Stable())
	t.Cleanup(a.report)
	return a
}

func setEnvironment(r *v1alpha1.CanaryRollout, version environment) {
	builder.EditTemplate(r, func(template *corev1.PodTemplateSpec) {
		container := &template.Spec.Containers[0]
		container.Env = nil
		for _, name := range []string{backend.ErrorPercent, backend.Latency} {
			if value := version[name]; value != "" {
				container.Env = append(container.Env, corev1.EnvVar{Name: name, Value: value})
			}
		}
	})
}

// release changes the version, and returns its revision when its steps begin.
func (a *app) release(version environment) (revision string) {
	a.t.Helper()
	a.versions++
	before := a.Get()
	changed := before.DeepCopy()
	setEnvironment(changed, version)
	builder.SetImage(changed, fmt.Sprintf("istio/examples-bookinfo-reviews-v%d:1.20.2", a.versions))
	a.Patch(fmt.Sprintf(`{"spec":{"template":%s}}`, changed.Spec.Template.Raw))
	a.WaitFor("the release to begin", func(s v1alpha1.CanaryRolloutStatus) bool {
		if s.Canary == nil || s.Canary.Revision == before.Status.Revision || s.Memory.Phase != v1alpha1.PhaseStepping {
			return false
		}
		revision = s.Canary.Revision
		return true
	})
	a.excuse(revision)
	return revision
}

// excuse covers the errors that a revision's own pods answer.
func (a *app) excuse(revision string) { a.excuses = append(a.excuses, harness.BadVersion(revision)) }

// firstError returns when a pod of the revision first answered with an error.
func (a *app) firstError(revision string) time.Time {
	a.t.Helper()
	for _, result := range a.Traffic.Results(isOf(revision)) {
		if result.Status == http.StatusInternalServerError {
			return result.Start
		}
	}
	a.t.Fatalf("revision %s gave no error", revision)
	return time.Time{}
}

// isOf matches the answers of a revision.
func isOf(revision string) func(load.Result) bool {
	return func(r load.Result) bool { return r.Revision == revision }
}

// errorsOf returns how many errors the pods of a revision answered so far.
func (a *app) errorsOf(revision string) int {
	return len(a.Traffic.Results(func(r load.Result) bool { return r.Revision == revision && r.Status == http.StatusInternalServerError }))
}

// metric returns what a status says about a metric of the release, or nil.
func metric(s v1alpha1.CanaryRolloutStatus, name string) *v1alpha1.MetricStatus {
	for i := range s.Analysis {
		if s.Analysis[i].Name == name {
			return &s.Analysis[i]
		}
	}
	return nil
}

// waitForAbort waits for the abort, checks that the first status in which traffic returns has the failed metric, and that the
// last one says why. It returns when traffic began to return.
func (a *app) waitForAbort(name string) (at time.Time) {
	a.t.Helper()
	var said *v1alpha1.MetricStatus
	at = a.WaitFor("the abort", func(s v1alpha1.CanaryRolloutStatus) bool {
		said = metric(s, name)
		return s.State == v1alpha1.StateAborting || s.State == v1alpha1.StateAborted
	})
	if said == nil || said.Verdict != v1alpha1.VerdictFailed {
		a.t.Fatalf("aborted with metric %s at %+v", name, said)
	}
	a.WaitFor("the reason", func(s v1alpha1.CanaryRolloutStatus) bool {
		return s.State == v1alpha1.StateAborted && strings.Contains(s.Message, "metric "+name+" failed: "+said.Message)
	})
	a.t.Logf("aborted: %s", said.Message)
	return at
}

// finish checks that no request was lost but by the versions' own errors, and that no evidence was lost.
func (a *app) finish() {
	a.t.Helper()
	a.CheckRoute()
	a.CheckLoss(a.excuses...)
	a.CheckEvidence()
}

// report logs what led to a failure.
func (a *app) report() {
	if !a.t.Failed() {
		return
	}
	moments := a.Moments()
	for _, moment := range moments[max(0, len(moments)-40):] {
		s := moment.Status
		a.t.Logf("%s %s %s weight %s: %s %+v", moment.At.Format("15:04:05.000"), s.State, s.Step, s.Weight, s.Message, s.Analysis)
	}
}

func seconds(n int) *metav1.Duration {
	return ptr.To(metav1.Duration{Duration: time.Duration(n) * time.Second})
}
