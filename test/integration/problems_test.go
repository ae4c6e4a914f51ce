// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

package integration

import (
	"fmt"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/canaryrollout/canaryrollout/api/v1alpha1"
	"github.com/canaryrollout/canaryrollout/test/framework/builder"
)

const (
	stableRef = `{"name":"reviews-stable","port":9080}`
	canaryRef = `{"name":"reviews-canary","port":9080}`
	pairRefs  = canaryRef + "," + stableRef
)

// problem is something that a user must fix.
type problem struct {
	// reason is the reason of the condition and of the Event.
	reason string
	// message is part of the message.
	message string
	// waits reports whether it may resolve by itself, so that the rollout stalls only after the deadline.
	waits      bool
	cause, fix func(a *app)
}

func problems() map[string]problem {
	return map[string]problem{
		"service-not-found": {
			reason: "ServiceNotFound", waits: true, message: "Service reviews-canary does not exist: create it",
			cause: func(a *app) { a.delete("reviews-canary", &corev1.Service{}) },
			fix:   func(a *app) { a.apply(workload) },
		},
		"route-not-found": {
			reason: "RouteNotFound", waits: true, message: "HTTPRoute reviews does not exist: create it",
			cause: func(a *app) { a.delete("reviews", &gatewayv1.HTTPRoute{}) },
			fix:   func(a *app) { a.apply(workload) },
		},
		"pair-not-found": {
			reason: "BackendPairNotFound", message: "put backendRefs to reviews-stable and to reviews-canary into the same rule",
			cause: func(a *app) { a.setBackends(stableRef) },
			fix:   func(a *app) { a.setBackends(pairRefs) },
		},
		"pair-ambiguous": {
			reason: "BackendPairAmbiguous", message: "reviews-canary 2 times",
			cause: func(a *app) { a.setBackends(pairRefs + `,{"name":"reviews-canary","port":9081}`) },
			fix:   func(a *app) { a.setBackends(pairRefs) },
		},
		"pair-cross-namespace": {
			reason: "BackendPairCrossNamespace", message: "must be in namespace ",
			cause: func(a *app) {
				a.setBackends(stableRef + `,{"name":"reviews-canary","port":9080,"namespace":"default"}`)
			},
			fix: func(a *app) { a.setBackends(pairRefs) },
		},
		"service-without-selector": {
			reason: "ServiceWithoutSelector", message: "Service reviews-stable has no selector",
			cause: func(a *app) { a.setSelector("reviews-stable", "null") },
			fix:   func(a *app) { a.setSelector("reviews-stable", `{"app":"reviews"}`) },
		},
		"service-selector-mismatch": {
			reason: "ServiceSelectorMismatch", message: "selects pods by tier=web",
			cause: func(a *app) { a.setSelector("reviews-stable", `{"app":"reviews","tier":"web"}`) },
			fix:   func(a *app) { a.setSelector("reviews-stable", `{"app":"reviews"}`) },
		},
	}
}

const third = `
apiVersion: v1
kind: Service
metadata: {name: third, namespace: %[1]s}
spec: {ports: [{port: 9080, name: http}], selector: {app: %[2]s}}
`

// thirdBeside returns the pair with a third weighted backend.
func thirdBeside(stable, canary, third int) string {
	return fmt.Sprintf(`{"name":"reviews-stable","port":9080,"weight":%d},{"name":"reviews-canary","port":9080,"weight":%d},{"name":"third","port":9080,"weight":%d}`,
		stable, canary, third)
}

// TestProblemAtFirst has a problem from the start: a condition and an Event report it, none of the user's objects is
// changed although the pods are ready, and the rollout continues by itself as soon as the problem is fixed.
func TestProblemAtFirst(t *testing.T) {
	t.Parallel()
	for name, p := range problems() {
		t.Run(name, func(t *testing.T) {
			a := parallel(t)
			p.cause(a)
			before := a.userObjects()
			a.deploy(a.make())
			a.waitForProblem(p)
			a.waitFor("ready pods", func(r *v1alpha1.CanaryRollout) bool { return r.Status.Ready == "2/2" })
			rollout := a.barrier()
			state := stalled(p.reason)
			if p.waits {
				state = inFlight("Initializing")
			}
			checkConditions(t, rollout, state.with("Available", "False Initializing", "TrafficRouted", "False "+p.reason))
			a.checkUntouched(before)
			p.fix(a)
			checkConditions(t, a.waitForState(v1alpha1.StateHealthy), atRest)
			if !p.waits {
				a.waitForEvent("Normal", "RolloutRecovered", p.reason+" is over")
			}
		})
	}
}

// TestWeightNotRepresentable has a rule whose weights cannot express a step: the first deploy, which runs no steps,
// completes, and the release is held before its first step.
func TestWeightNotRepresentable(t *testing.T) {
	a := parallel(t)
	a.apply(third)
	a.setBackends(thirdBeside(10, 0, 10))
	a.deploy(a.make().Steps(builder.Weight(25), builder.Hold()))
	checkConditions(t, a.waitForState(v1alpha1.StateHealthy), atRest)
	a.setImage(builder.ImageV2)
	a.waitForProblem(problem{reason: "WeightNotRepresentable", message: "multiply every weight of that rule by 2"})
	a.setBackends(thirdBeside(100, 0, 100))
	a.waitForStep(v1alpha1.StatePaused, "2/2")
}

// waitForProblem waits for the condition and the Event.
func (a *app) waitForProblem(p problem) {
	a.t.Helper()
	a.waitFor(p.reason, func(r *v1alpha1.CanaryRollout) bool {
		return conditionsOf(r)["TrafficRouted"] == "False "+p.reason
	})
	a.waitForEvent("Warning", p.reason, p.message)
}

// checkUntouched reports an error if a Service or route has changed in any byte, or if the operator tried to write
// one.
func (a *app) checkUntouched(before string) {
	a.t.Helper()
	if after := a.userObjects(); after != before {
		a.t.Errorf("the user's objects have changed:\nwas %s\nis  %s", before, after)
	}
	if writes := a.operatorWrites(); len(writes) > 0 {
		a.t.Errorf("the operator wrote: %v", writes)
	}
}

// TestProblemInMidCanary causes a problem at a pause: the release is held, even when it is promoted, stable keeps its
// traffic, and the release continues when the problem is fixed.
func TestProblemInMidCanary(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"service-not-found", "route-not-found", "pair-not-found", "service-selector-mismatch"} {
		t.Run(name, func(t *testing.T) {
			p := problems()[name]
			a := paused(t, "2/3", builder.Weight(50), builder.Hold(), builder.Weight(100))
			stable := a.rollout().Status.Stable.Revision
			p.cause(a)
			a.waitForProblem(p)
			a.annotate(promote, "full")
			a.waitForNoCommand()
			if rollout := a.barrier(); rollout.Status.Stable.Revision != stable || rollout.Status.State == v1alpha1.StateHealthy {
				t.Errorf("promoted in spite of %s: %s", p.reason, describe(rollout))
			}
			p.fix(a)
			a.waitForStable(builder.ImageV2)
			a.checkTraffic("100/0")
		})
	}
}

// TestSelectorAheadOfPods changes the template and the stable Service's selector at the same time, so that the
// Service selects no existing pod: this is reported, nothing is moved, and the release continues when the selector is
// fixed.
func TestSelectorAheadOfPods(t *testing.T) {
	a := paused(t, "2/3", builder.Weight(50), builder.Hold(), builder.Weight(100))
	stable := a.rollout().Status.Stable.Revision
	selector := `{"app":"reviews","pod-template-hash":"` + stable + `"%s}`
	a.setSelector("reviews-stable", fmt.Sprintf(selector, `,"tier":"web"`))
	a.patch(`{"spec":{"template":{"metadata":{"labels":{"tier":"web"}}}}}`)
	// Between the two writes, the Service selects what the template does not have: the Event may be about that.
	a.waitForProblem(problem{reason: "ServiceSelectorMismatch", message: "Service reviews-stable selects pods by tier=web"})
	a.waitFor("the label that the stable pods lack", func(r *v1alpha1.CanaryRollout) bool {
		return strings.Contains(r.Status.Message, "tier=web, which the serving pods of revision "+stable)
	})
	a.waitForState(v1alpha1.StateDegraded)
	a.barrier()
	a.checkTraffic("50/50")
	a.setSelector("reviews-stable", fmt.Sprintf(selector, ""))
	a.waitForEvent("Normal", "TrafficRolledBack", "revision "+stable+" serves all traffic again")
	a.waitForStep(v1alpha1.StatePaused, "2/3")
	a.annotate(promote, "full")
	a.waitForStable(builder.ImageV2)
	a.checkTraffic("100/0")
}

// TestMissingServiceStalls: a missing object may still be created, but the rollout does not wait forever.
func TestMissingServiceStalls(t *testing.T) {
	a := parallel(t)
	a.delete("reviews-canary", &corev1.Service{})
	a.deploy(a.make().ProgressDeadline(2))
	rollout := a.waitForState(v1alpha1.StateDegraded)
	if got := conditionsOf(rollout); got["Stalled"] != "True ProgressDeadlineExceeded" || got["TrafficRouted"] != "False ServiceNotFound" {
		t.Errorf("conditions are %v", got)
	}
	a.apply(workload)
	a.waitForState(v1alpha1.StateHealthy)
}

// TestServiceConflict: of two rollouts that name the same Service the older one keeps it, whatever their names. The
// younger one continues by itself as soon as it names another.
func TestServiceConflict(t *testing.T) {
	older := deployed(t)
	made := older.rollout().CreationTimestamp
	older.within(patience, "the next second", func() (bool, string) { return time.Now().Truncate(time.Second).After(made.Time), "" })
	younger := &app{t: t, namespace: older.namespace, name: "another", published: watch(t, older.namespace, "another")}
	younger.apply(workload)
	before := older.userObjects()
	writes := len(older.operatorWrites())
	younger.deploy(younger.make().Services("reviews-stable", "another-canary"))
	p := problem{reason: "ServiceConflict", message: "Service reviews-stable is managed by CanaryRollout reviews, which is older"}
	younger.waitForProblem(p)
	younger.waitFor("ready pods", func(r *v1alpha1.CanaryRollout) bool { return r.Status.Ready == "2/2" })
	checkConditions(t, younger.barrier(), stalled(p.reason).with("Available", "False Initializing", "TrafficRouted", "False "+p.reason))
	if after := older.userObjects(); after != before || len(older.operatorWrites()) != writes {
		t.Errorf("the user's objects have changed:\nwas %s\nis  %s", before, after)
	}
	older.setImage(builder.ImageV2)
	older.waitForStable(builder.ImageV2)
	younger.patch(`{"spec":{"traffic":{"stableService":"another-stable"}}}`)
	younger.waitForState(v1alpha1.StateHealthy)
}

// invalid is a template that the API server refuses only in the ReplicaSet.
const invalid = `{"spec":{"template":{"spec":{"containers":[{"name":"app","image":"reviews:v9","volumeMounts":[{"name":"none","mountPath":"/x"}]}]}}}}`

// misspelt is a template that the API server would accept in a ReplicaSet, but without the probe.
const misspelt = `{"spec":{"template":{"spec":{"containers":[{"name":"app","image":"reviews:v9","readinesProbe":{}}]}}}}`

// TestInvalidTemplate: stable keeps serving unchanged, and another template resolves the problem.
func TestInvalidTemplate(t *testing.T) {
	a := deployed(t)
	before, writes := a.userObjects(), len(a.operatorWrites())
	a.patch(invalid)
	rollout := a.waitForState(v1alpha1.StateDegraded)
	checkConditions(t, rollout, stalled("InvalidTemplate"))
	a.waitForEvent("Warning", "InvalidTemplate", `volumeMounts[0].name: Not found: "none"`)
	a.patch(misspelt)
	a.waitFor("the misspelt probe to be refused", func(r *v1alpha1.CanaryRollout) bool {
		return strings.Contains(r.Status.Message, `unknown field "spec.template.spec.containers[0].readinesProbe"`)
	})
	a.barrier()
	if after := a.userObjects(); after != before || len(a.operatorWrites()) != writes {
		t.Errorf("the user's objects have changed:\nwas %s\nis  %s", before, after)
	}
	a.patch(`{"spec":{"template":{"spec":{"containers":[{"name":"app","image":%q}]}}}}`, builder.ImageV2)
	checkConditions(t, a.waitForStable(builder.ImageV2), atRest)
}
