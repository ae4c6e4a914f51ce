// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

package plan

import (
	"fmt"
	"slices"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/canaryrollout/canaryrollout/api/v1alpha1"
)

// alarmed puts what a person has to know first before a message, whatever the rollout waits for: that the stable Service
// serves nothing, and that a rollout that is held has lost the proof of its weight.
func (p *pass) alarmed(v verdict) string {
	var alarms []string
	if alarm := p.stableAlarm(); alarm != "" {
		alarms = append(alarms, alarm)
	}
	if v.state == v1alpha1.StatePaused && p.isManaging() && !p.isVerified() {
		alarms = append(alarms, p.trafficWait())
	}
	alarms = slices.DeleteFunc(alarms, func(alarm string) bool { return strings.Contains(v.message, alarm) })
	return strings.Join(append(alarms, v.message), "; ")
}

// stableAlarm says that the stable Service has lost its endpoints while requests go to it; empty while it has some.
func (p *pass) stableAlarm() string {
	service, traffic := p.in.Observed.Stable, p.mem.Traffic
	if p.isTerminating() || p.mem.StableRevision == "" || p.mem.StableService.ReadyAt == nil || p.spec.replicas == 0 ||
		traffic.Weight == 100 || ready(service) > 0 {
		return ""
	}
	return fmt.Sprintf("Service %s has no ready endpoint, so requests to it fail%s", service.Name, p.trouble(p.mem.StableService.Revision))
}

// stableEvent warns when the stable Service begins to serve nothing, and says when that is over. Pods may come and go for
// hours, so both are counted.
func (p *pass) stableEvent(c metav1.Condition, prior *metav1.Condition) {
	switch {
	case c.Reason == v1alpha1.ReasonStableUnavailable && (p.stalled == nil || p.stalled.Reason != c.Reason):
		p.warnRepeated(c.Reason, "%s", c.Message)
	case prior != nil && prior.Reason == v1alpha1.ReasonStableUnavailable && p.stalled == nil:
		p.event(EventRecovered, "%s is over", prior.Reason)
		p.plan.Events[len(p.plan.Events)-1].Repeats = true
	}
}

// warnLostProof warns of a route that a gateway does not accept any more, although it still carries the target: the rollout
// was not asked for anything that would explain it. A route that carries it no more was overwritten.
func (p *pass) warnLostProof() {
	before, after := p.prior.Traffic, p.mem.Traffic
	if before.VerifiedAt == nil || after.VerifiedAt != nil || !slices.ContainsFunc(p.in.Observed.Routes, p.carries) ||
		before.Weight != after.Weight || before.MirrorPercent != after.MirrorPercent || before.HeaderRoutesActive != after.HeaderRoutesActive ||
		len(before.Routes) != len(after.Routes) {
		return
	}
	p.warnRepeated(p.unverifiedReason(), "weight %d is not verified any more: %s", after.Weight, p.trafficWait())
}
