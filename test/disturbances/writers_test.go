// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

package disturbances

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/canaryrollout/canaryrollout/api/v1alpha1"
	"github.com/canaryrollout/canaryrollout/test/framework/builder"
	"github.com/canaryrollout/canaryrollout/test/framework/cluster"
	"github.com/canaryrollout/canaryrollout/test/framework/cluster/load"
	"github.com/canaryrollout/canaryrollout/test/framework/harness"
)

const (
	// repairTarget is how long wrong weights should be in a route, in the median. It is only logged.
	repairTarget = 100 * time.Millisecond
	// repairLimit is longer than an operator that learns of the write from its watch needs. Every timer of the
	// controller is longer than that.
	repairLimit = time.Second
	// syncs is how often a GitOps tool overwrites the route, once a second.
	syncs = 8
)

// write writes a manifest of an object, without the fields that only the API server sets.
func write(t *testing.T, s *harness.Terminal, file string, object *unstructured.Unstructured) {
	t.Helper()
	content, err := json.Marshal(harness.Declared(object).Object)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(s.Dir, file), content, 0o600); err != nil {
		t.Fatal(err)
	}
}

// read returns an object as it is stored.
func read(t *testing.T, kind, apiVersion string, key client.ObjectKey) *unstructured.Unstructured {
	t.Helper()
	object := &unstructured.Unstructured{}
	object.SetAPIVersion(apiVersion)
	object.SetKind(kind)
	if err := env.Admin.Get(t.Context(), key, object); err != nil {
		t.Fatal(err)
	}
	return object
}

func readService(t *testing.T, a *harness.App, name string) *unstructured.Unstructured {
	t.Helper()
	return read(t, "Service", "v1", client.ObjectKey{Namespace: a.Namespace, Name: name})
}

// midCanary returns an app that is paused at 40 %, with a header route for testers.
func midCanary(t *testing.T) *harness.App {
	t.Helper()
	a := harness.Start(t, env, harness.Options{
		Rate: rate, Steps: []v1alpha1.Step{builder.HeaderRoute("qa", "role", "qa"), builder.Weight(40), builder.Hold()},
	})
	a.SetImage(builder.ImageV2)
	a.WaitForPause("3/3")
	return a
}

const carriedMidCanary = "canaryrollout-reviews-qa-0 60/40"

// waitUntilRestored waits until the route carries what the steps ask for and that is verified.
func waitUntilRestored(t *testing.T, a *harness.App) {
	t.Helper()
	a.Eventually("traffic as the steps ask for", func() (bool, string) {
		rollout, route := a.Get(), a.Route()
		accepted := meta.FindStatusCondition(rollout.Status.Conditions, v1alpha1.ConditionTrafficRouted)
		return harness.Carried(route) == carriedMidCanary && isVerified(rollout, route) && accepted.Status == metav1.ConditionTrue,
			harness.Carried(route) + ": " + accepted.Message
	})
}

// isVerified reports whether the verification in memory refers to the current route.
func isVerified(rollout *v1alpha1.CanaryRollout, route *unstructured.Unstructured) bool {
	traffic := rollout.Status.Memory.Traffic
	return traffic.VerifiedAt != nil && len(traffic.Routes) == 1 && traffic.Routes[0].Generation == route.GetGeneration()
}

// finish promotes a disturbed release, and checks that it ends like any other.
func finish(t *testing.T, a *harness.App, from string) {
	t.Helper()
	a.Annotate(v1alpha1.PromoteAnnotation, "full")
	a.CheckPromoted(from)
}

// checkRepairs reads from the API server's audit log how long the operator took to respond to each foreign write of a
// resource, and counts the requests this costs. The operator responds to a foreign write with at most one write, so
// there is no hot loop.
func checkRepairs(t *testing.T, a *harness.App, resource string, from time.Time) {
	t.Helper()
	var took []time.Duration
	var open []time.Time
	counts := map[string]int{}
	foreign := 0
	for _, event := range a.Audited(from) {
		switch {
		case harness.IsWrite(event, "admin", resource):
			foreign++
			open = append(open, event.StageTimestamp.Time)
		case harness.IsWrite(event, cluster.OperatorUsername, resource):
			for _, since := range open {
				took = append(took, event.StageTimestamp.Sub(since))
			}
			open = nil
		}
		if event.User.Username == cluster.OperatorUsername && event.Verb != "watch" {
			counts[event.Verb+" "+event.ObjectRef.Resource+"/"+event.ObjectRef.Subresource]++
		}
	}
	if len(took) == 0 || len(open) > 0 {
		t.Fatalf("%d of %d writes to %s were reverted", len(took), foreign, resource)
	}
	slices.Sort(took)
	t.Logf("%d foreign writes to %s; wrong for %s in the median, %s at most (target %s); the operator's requests: %v",
		foreign, resource, took[len(took)/2].Round(time.Millisecond), took[len(took)-1].Round(time.Millisecond), repairTarget, counts)
	if median := took[len(took)/2]; median > repairLimit {
		t.Errorf("%s were wrong for a median of %s", resource, median)
	}
	if n := counts["patch "+resource+"/"]; n > foreign {
		t.Errorf("%d writes of %s for %d foreign ones", n, resource, foreign)
	}
	if n := counts["patch canaryrollouts/status"]; n > 4*foreign {
		t.Errorf("%d status writes for %d foreign writes", n, foreign)
	}
}

// waitForWarning waits for an Event with all these words, and checks that no other Event has the same message:
// repeated overwrites by one writer must not flood the Events.
func waitForWarning(t *testing.T, a *harness.App, reason string, words ...string) {
	t.Helper()
	a.Eventually("the Event "+reason, func() (bool, string) {
		list := &corev1.EventList{}
		if err := env.Admin.List(t.Context(), list, client.InNamespace(a.Namespace)); err != nil {
			t.Fatal(err)
		}
		var seen []string
		found := map[string]int{}
		for i := range list.Items {
			event := &list.Items[i]
			seen = append(seen, event.Reason+": "+event.Message)
			missing := func(word string) bool { return !strings.Contains(event.Message, word) }
			if event.Reason == reason && event.Type == corev1.EventTypeWarning && !slices.ContainsFunc(words, missing) {
				t.Logf("%s: %s", event.Reason, event.Message)
				if found[event.Message]++; found[event.Message] > 1 {
					t.Fatalf("%d Events say the same: %q", found[event.Message], seen)
				}
			}
		}
		return len(found) > 0, fmt.Sprintf("no such one with %q among %q", words, seen)
	})
}

// TestWeights overwrites the weights of the route in mid-canary: once by hand, and once a second by GitOps tools of
// both kinds. They are reverted at once (T6), including header rules, and a Warning names the writer. Argo Rollouts
// does not watch routes.
func TestWeights(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		manager, wrote string
		times          int
		write          func(a *harness.App, s *harness.Terminal)
	}{
		"hand": {"kubectl-edit", "reviews-stable 1 and reviews-canary 1", 1, func(a *harness.App, _ *harness.Terminal) {
			git := a.GitRoute(1, 1)
			a.Merge("kubectl-edit", git, git.Object["spec"])
		}},
		"force": {"argocd-controller", "reviews-stable 100 and reviews-canary 0", syncs, func(a *harness.App, _ *harness.Terminal) {
			a.Apply("argocd-controller", a.GitRoute(100, 0))
		}},
		"client": {"kubectl-client-side-apply", "reviews-stable 100 and reviews-canary 0", syncs, func(_ *harness.App, s *harness.Terminal) {
			s.Run("kubectl apply -f route.yaml")
		}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			a := midCanary(t)
			v1, s := a.Stable(), a.Terminal()
			write(t, s, "route.yaml", a.GitRoute(100, 0))
			begun := time.Now()
			tick := time.NewTicker(time.Second)
			defer tick.Stop()
			for range tc.times {
				tc.write(a, s)
				<-tick.C
			}
			waitUntilRestored(t, a)
			waitForWarning(t, a, "RouteOverwritten", tc.manager, tc.wrote, "restored to 40 %")
			checkRepairs(t, a, "httproutes", begun)
			a.CheckHeaderRoute(time.Now(), a.Get().Status.Canary.Revision)
			if step := a.Get().Status.Step; step != "3/3" {
				t.Errorf("the release did not stay at its step: %s", step)
			}
			finish(t, a, v1)
			a.CheckLoss()
		})
	}
}

// TestSelectors strips the selectors of the two Services of the hash and swaps them in mid-canary, by server-side
// apply and by patches.
func TestSelectors(t *testing.T) {
	t.Parallel()
	a := midCanary(t)
	status := a.Get().Status
	v1, v2 := status.Stable.Revision, status.Canary.Revision
	revisions := map[string]string{"reviews-stable": v1, "reviews-canary": v2}
	begun := time.Now()
	for _, write := range []func(){
		func() { // stripped, as by a tool with the user's own selector in Git
			for name := range revisions {
				a.Apply("argocd-controller", a.GitService(name))
			}
		},
		func() { // swapped
			a.Merge("by-hand", readService(t, a, "reviews-stable"), selecting(v2))
			a.Merge("by-hand", readService(t, a, "reviews-canary"), selecting(v1))
		},
		func() { // widened: without the revision, but still with the app
			a.Merge("by-hand", readService(t, a, "reviews-canary"), selecting(nil))
		},
	} {
		write()
		a.Eventually("the selectors to be restored", func() (bool, string) {
			var got []string
			for name, revision := range revisions {
				selector, _, _ := unstructured.NestedStringMap(readService(t, a, name).Object, "spec", "selector")
				if selector[v1alpha1.RevisionLabel] != revision {
					got = append(got, fmt.Sprint(name, selector))
				}
			}
			return len(got) == 0, strings.Join(got, ", ")
		})
	}
	waitForWarning(t, a, "ServiceOverwritten", "argocd-controller", "every revision")
	checkRepairs(t, a, "services", begun)
	waitUntilRestored(t, a) // while the canary Service had none of its endpoints, traffic was on stable
	a.CheckHeaderRoute(time.Now(), v2)
	finish(t, a, v1)
	a.CheckLoss()
}

func selecting(revision any) map[string]any {
	return map[string]any{"selector": map[string]any{v1alpha1.RevisionLabel: revision}}
}

// checkLossBut is CheckLoss for a test that deleted an object: only requests in that time may fail.
func checkLossBut(t *testing.T, a *harness.App, from, to time.Time) {
	t.Helper()
	for _, traffic := range []*load.Generator{a.Traffic, a.StableOnly} {
		traffic.Stop()
		excused := 0
		for _, failure := range traffic.Failures() {
			if failure.Start.Add(failure.Duration).Before(from) || failure.Start.After(to) {
				t.Errorf("lost: %s", failure)
				continue
			}
			excused++
		}
		t.Logf("requests: %s; %d of them while the object was gone, from %s to %s", traffic.Total(), excused,
			from.Format("15:04:05.000"), to.Format("15:04:05.000"))
	}
}

// gone deletes an object, waits until the rollout reports it missing, and returns when it was deleted.
func gone(t *testing.T, a *harness.App, object *unstructured.Unstructured, reason string) time.Time {
	t.Helper()
	from := time.Now()
	if err := env.Admin.Delete(t.Context(), object); err != nil {
		t.Fatal(err)
	}
	a.WaitFor("the reason "+reason, func(s v1alpha1.CanaryRolloutStatus) bool {
		condition := meta.FindStatusCondition(s.Conditions, v1alpha1.ConditionTrafficRouted)
		return condition.Status == metav1.ConditionFalse && condition.Reason == reason
	})
	return from
}

// back waits until everything is as the steps ask for again, including the endpoints of a recreated Service, and
// returns the time by which the gateway must have applied that.
func back(t *testing.T, a *harness.App) time.Time {
	t.Helper()
	waitUntilRestored(t, a)
	status := a.Get().Status
	for service, revision := range map[string]*v1alpha1.RevisionStatus{"reviews-stable": status.Stable, "reviews-canary": status.Canary} {
		a.Eventually("the endpoints of "+service, func() (bool, string) {
			got := readyEndpoints(t, a, service, revision.Revision)
			return got == revision.Ready, fmt.Sprintf("%d of %d", got, revision.Ready)
		})
	}
	return time.Now().Add(harness.Settle)
}

// readyEndpoints counts the ready endpoints of a revision behind a Service.
func readyEndpoints(t *testing.T, a *harness.App, service, revision string) (count int32) {
	t.Helper()
	list := &discoveryv1.EndpointSliceList{}
	if err := env.Admin.List(t.Context(), list, client.InNamespace(a.Namespace), client.MatchingLabels{discoveryv1.LabelServiceName: service}); err != nil {
		t.Fatal(err)
	}
	for _, slice := range list.Items {
		for _, endpoint := range slice.Endpoints {
			if ptr.Deref(endpoint.Conditions.Ready, false) && strings.HasPrefix(endpoint.TargetRef.Name, "reviews-"+revision+"-") {
				count++
			}
		}
	}
	return count
}

// checkWeightsSince checks that the desired canary weight never exceeded what its step allows.
func checkWeightsSince(t *testing.T, a *harness.App, from time.Time, most int32) {
	t.Helper()
	for _, moment := range a.Moments() {
		if moment.At.After(from) && moment.Status.Traffic != nil && moment.Status.Traffic.DesiredWeight > most {
			t.Errorf("%s: weight %d was wanted, with an object missing", moment.At.Format(time.TimeOnly), moment.Status.Traffic.DesiredWeight)
		}
	}
}

// TestGone deletes a user's object in mid-canary, and recreates it from its state in Git. Requests fail while it is
// gone. Traffic never moves to a wrong place, and the release continues by itself.
func TestGone(t *testing.T) {
	t.Parallel()
	service := func(name string) func(*harness.App) *unstructured.Unstructured {
		return func(a *harness.App) *unstructured.Unstructured { return a.GitService(name) }
	}
	for name, tc := range map[string]struct {
		git     func(*harness.App) *unstructured.Unstructured
		reason  string
		message string
		// weight is the desired weight of the canary while the object is gone.
		weight int32
	}{
		"route": {func(a *harness.App) *unstructured.Unstructured { return a.GitRoute(1, 1) },
			v1alpha1.ReasonRouteNotFound, "HTTPRoute bookinfo-reviews does not exist: create it", 40},
		"canary": {service("reviews-canary"), v1alpha1.ReasonServiceNotFound, "Service reviews-canary does not exist: create it", 0},
		"stable": {service("reviews-stable"), v1alpha1.ReasonServiceNotFound, "Service reviews-stable does not exist: create it", 40},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			a := midCanary(t)
			v1 := a.Stable()
			git := tc.git(a)
			from := gone(t, a, git, tc.reason)
			a.WaitFor("what is missing and the weight", func(s v1alpha1.CanaryRolloutStatus) bool {
				return strings.HasSuffix(s.Message, tc.message) && s.Step == "3/3" && s.Traffic.DesiredWeight == tc.weight
			})
			if err := env.Admin.Create(t.Context(), git); err != nil {
				t.Fatal(err)
			}
			to := back(t, a)
			checkWeightsSince(t, a, from, 40)
			a.WaitForPause("3/3")
			finish(t, a, v1)
			checkWeightsSince(t, a, from, 100)
			checkLossBut(t, a, from, to)
		})
	}
}

// TestGatewayGone deletes the Gateway in mid-canary, and recreates it. The next weight is written, but only counts
// once a gateway has accepted it.
func TestGatewayGone(t *testing.T) {
	t.Parallel()
	options := harness.Options{Rate: rate, Steps: []v1alpha1.Step{builder.Weight(20), builder.Hold(), builder.Weight(40), builder.Hold()}}
	a := harness.Prepare(t, env, options)
	gateway := harness.Declared(read(t, "Gateway", "gateway.networking.k8s.io/v1", client.ObjectKey{Namespace: cluster.GatewayNamespace, Name: cluster.GatewayName}))
	gateway.SetNamespace(a.Namespace)
	gateway.SetName("its-own")
	a.Create(gateway.DeepCopy())
	a.Merge("by-hand", a.Route(), map[string]any{"parentRefs": []any{map[string]any{"name": "its-own"}}})
	a.Create(a.Rollout(options))
	a.WaitForState(v1alpha1.StateHealthy)
	a.StartTraffic()
	v1 := a.Stable()
	a.SetImage(builder.ImageV2)
	a.WaitForPause("2/4")
	from := time.Now()
	if err := env.Admin.Delete(t.Context(), gateway.DeepCopy()); err != nil {
		t.Fatal(err)
	}
	a.Eventually("the gateway to be gone", func() (bool, string) {
		last := a.Traffic.Since(from)
		return last.Failed > 0, last.String()
	})
	a.Annotate(v1alpha1.PromoteAnnotation, "true")
	a.WaitFor("weight 40 to wait for a gateway", func(s v1alpha1.CanaryRolloutStatus) bool {
		condition := meta.FindStatusCondition(s.Conditions, v1alpha1.ConditionTrafficRouted)
		return s.Step == "3/4" && s.Traffic.DesiredWeight == 40 && condition.Reason == v1alpha1.ReasonRouteNotVerified &&
			strings.Contains(s.Message, "Gateway its-own")
	})
	a.Create(gateway.DeepCopy())
	to := a.WaitForPause("4/4").Add(harness.Settle) // the gateway reports before it routes
	checkWeightsSince(t, a, from, 40)
	finish(t, a, v1)
	checkLossBut(t, a, from, to)
}

// replicaSetsOf returns the names of all ReplicaSets of an app.
func replicaSetsOf(t *testing.T, a *harness.App) []string {
	t.Helper()
	list := &unstructured.UnstructuredList{}
	list.SetAPIVersion("apps/v1")
	list.SetKind("ReplicaSetList")
	if err := env.Admin.List(t.Context(), list, client.InNamespace(a.Namespace)); err != nil {
		t.Fatal(err)
	}
	var names []string
	for i := range list.Items {
		names = append(names, list.Items[i].GetName())
	}
	slices.Sort(names)
	return names
}

// checkRecognized waits until the operator has processed a template with other bytes than those it knew, and checks
// that the revision is the same.
func checkRecognized(t *testing.T, a *harness.App, hash string, before v1alpha1.CanaryRolloutStatus, sets []string) {
	t.Helper()
	a.Eventually("the template to be recognized", func() (bool, string) {
		now := a.Get().Status.Memory.Template
		return now.Hash != hash, now.Hash
	})
	now := a.Get().Status
	if now.Memory.Template.Revision != before.Memory.Template.Revision || now.Step != before.Step || now.State != before.State {
		t.Errorf("it was %s at %s of %s, and is %s at %s of %s", before.State, before.Step, before.Revision, now.State, now.Step, now.Revision)
	}
	if got := replicaSetsOf(t, a); !slices.Equal(got, sets) {
		t.Errorf("the ReplicaSets were %v, and are %v", sets, got)
	}
}

// TestCRDUpgrade changes defaults in the CRD, including the pod template: every stored template then has other bytes,
// but the same meaning. No release starts. The test is not parallel because it changes the whole cluster.
func TestCRDUpgrade(t *testing.T) {
	a := midCanary(t)
	before, sets := a.Get().Status, replicaSetsOf(t, a)
	crd := read(t, "CustomResourceDefinition", "apiextensions.k8s.io/v1", client.ObjectKey{Name: "canaryrollouts.canaryrollout.dev"})
	original := crd.DeepCopy()
	t.Cleanup(func() { storeCRD(t, original) })
	versions, _, _ := unstructured.NestedSlice(crd.Object, "spec", "versions")
	for path, property := range map[string]map[string]any{
		"spec.progressDeadlineSeconds":       {"default": int64(300)},
		"spec.revisionHistoryLimit":          {"default": int64(5)},
		"spec.template.spec.restartPolicy":   {"default": "Always"},
		"spec.template.spec.dnsPolicy":       {"default": "ClusterFirst", "type": "string"},
		"spec.template.spec.schedulerName":   {"default": "default-scheduler", "type": "string"},
		"spec.template.spec.securityContext": {"default": map[string]any{}, "type": "object"},
	} {
		fields := append([]string{"schema", "openAPIV3Schema", "properties"}, strings.Split(strings.ReplaceAll(path, ".", ".properties."), ".")...)
		for keyword, value := range property {
			if err := unstructured.SetNestedField(versions[0].(map[string]any), value, append(fields, keyword)...); err != nil {
				t.Fatal(err)
			}
		}
	}
	_ = unstructured.SetNestedSlice(crd.Object, versions, "spec", "versions")
	storeCRD(t, crd)
	a.Eventually("the defaults to be in force", func() (bool, string) {
		policy := builder.TemplateOf(a.Get()).Spec.RestartPolicy
		return policy == corev1.RestartPolicyAlways, string(policy)
	})
	a.Touch()
	checkRecognized(t, a, before.Memory.Template.Hash, before, sets)
	finish(t, a, before.Stable.Revision)
	a.CheckLoss()
}

// storeCRD overwrites a CRD.
func storeCRD(t *testing.T, crd *unstructured.Unstructured) {
	t.Helper()
	spec, err := json.Marshal(map[string]any{"spec": crd.Object["spec"]})
	if err != nil {
		t.Fatal(err)
	}
	patch := client.RawPatch("application/merge-patch+json", spec)
	if err := env.Admin.Patch(context.WithoutCancel(t.Context()), crd.DeepCopy(), patch); err != nil {
		t.Fatal(err)
	}
}

// TestOperatorUpgrade: in mid-canary, an operator finds the state of a former version with other hashes: no hash in
// the memory or in the ReplicaSets is one that it would have computed. No release starts (argo-rollouts#4696). The
// test is not parallel because it restarts the operator.
func TestOperatorUpgrade(t *testing.T) {
	a := midCanary(t)
	if err := env.Operator.Stop(); err != nil {
		t.Fatal(err)
	}
	const former = "the hash of a former version"
	before, sets := a.Get().Status, replicaSetsOf(t, a)
	for _, name := range sets {
		set := read(t, "ReplicaSet", "apps/v1", client.ObjectKey{Namespace: a.Namespace, Name: name})
		patch := fmt.Sprintf(`{"metadata":{"annotations":{%q:%q}}}`, v1alpha1.TemplateHashAnnotation, former+" "+name)
		if err := env.Admin.Patch(t.Context(), set, client.RawPatch("application/merge-patch+json", []byte(patch))); err != nil {
			t.Fatal(err)
		}
	}
	patch := fmt.Sprintf(`{"status":{"memory":{"template":{"hash":%q}}}}`, former)
	if err := env.Admin.Status().Patch(t.Context(), a.Get(), client.RawPatch("application/merge-patch+json", []byte(patch))); err != nil {
		t.Fatal(err)
	}
	if err := env.StartOperator(t.Context()); err != nil {
		t.Fatal(err)
	}
	checkRecognized(t, a, former, before, sets)
	finish(t, a, before.Stable.Revision)
	a.CheckLoss()
}

// isGone reports whether the rollout is gone.
func isGone(t *testing.T, a *harness.App) bool {
	t.Helper()
	err := env.Admin.Get(t.Context(), client.ObjectKey{Namespace: a.Namespace, Name: "reviews"}, &v1alpha1.CanaryRollout{})
	if client.IgnoreNotFound(err) != nil {
		t.Fatal(err)
	}
	return apierrors.IsNotFound(err)
}
