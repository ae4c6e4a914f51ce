// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

package stress

import (
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/canaryrollout/canaryrollout/api/v1alpha1"
	"github.com/canaryrollout/canaryrollout/test/framework/harness"
)

// lastVersion is a version that no script applies.
const lastVersion = 9

// calm stops the disturbances and releases a last version. It must become stable, and everything must then be at
// rest.
func (d *driver) calm() {
	d.t.Helper()
	d.awaitEndpoints()
	from := time.Now()
	d.SetImage(image(lastVersion))
	d.finish(image(lastVersion))
	d.t.Logf("the last version was stable, and alone, %s after the end of the script", time.Since(from).Round(time.Second/10))
	d.checkRest()
}

// finish promotes an image until it is stable and no other revision has pods. A command from the end of the script
// may still abort it. A release that metrics judge is measured first.
func (d *driver) finish(image string) {
	d.t.Helper()
	next := time.Now()
	d.Eventually("the last version to be stable", func() (bool, string) {
		rollout := d.Get()
		s := rollout.Status
		if s.State == v1alpha1.StateHealthy && s.Images == image && s.ObservedGeneration == rollout.Generation && len(s.Memory.Draining) == 0 {
			return true, ""
		}
		if isDue := time.Now().After(next); isDue && s.Memory != nil && s.ObservedGeneration == rollout.Generation {
			next = time.Now().Add(2 * time.Second)
			switch {
			case s.State == v1alpha1.StateAborted:
				d.Annotate(v1alpha1.RetryAnnotation, "true")
			case s.Memory.Phase == v1alpha1.PhaseStepping && strings.HasSuffix(s.Images, image) && (d.isStrict() || isMeasured(s)):
				d.Annotate(v1alpha1.PromoteAnnotation, "full")
			}
		}
		return false, d.describe(harness.Moment{At: time.Now(), Status: s})
	})
}

// checkRest checks that the route carries the weights at rest, that both Services select the stable revision, and
// that the user's part of the route is as last edited.
func (d *driver) checkRest() {
	d.t.Helper()
	d.Answers(2 * rate)
	d.CheckRoute()
	if got := harness.Carried(d.Route()); got != "100/0" {
		d.t.Errorf("at rest the route carries %s", got)
	}
	d.checkSecondRoute()
	stable := d.Stable()
	for _, name := range []string{"reviews-stable", "reviews-canary"} {
		service := &corev1.Service{}
		if err := env.Admin.Get(d.t.Context(), client.ObjectKey{Namespace: d.Namespace, Name: name}, service); err != nil {
			d.t.Fatal(err)
		}
		if got := service.Spec.Selector[v1alpha1.RevisionLabel]; got != stable {
			d.t.Errorf("at rest Service %s selects %s, want %s", name, got, stable)
		}
	}
	if got, want := len(living(d.pods(stable))), int(*d.Get().Spec.Replicas); got != want {
		d.t.Errorf("at rest there are %d pods of the stable revision, want %d", got, want)
	}
}
