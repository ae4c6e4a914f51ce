// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

package plan

// handBack waits until the Services and the routes lead to the stable revision alone.
func (g gatewayCanary) handBack(t *transition) {
	stable, observed := t.mem.StableRevision, t.in.Observed
	switch {
	case stable == "":
		g.handBackFirstDeploy(t)
	case observed.Stable.isMisdirected(stable), observed.Canary.isMisdirected(stable):
		t.await(waitFor("waiting for both Services to select the stable revision"))
	case t.hasOtherPods():
		t.await(waitFor("waiting for the other revisions to drain"))
	case t.await(t.settled()):
		t.event(EventTerminated, "all traffic goes to revision %s; the Services and routes are handed back", stable)
		t.isReleased = true
	}
}

// handBackFirstDeploy has no stable revision to return to. The pods that the stable Service selects without our label keep
// serving.
func (g gatewayCanary) handBackFirstDeploy(t *transition) {
	if t.traffic().reachesCanary() {
		g.dropTraffic(t)
		return
	}
	t.isReleased = t.mem.CanaryService.Revision == "" || t.await(t.settled())
}

// release removes the hash from all selectors. At this point that changes no endpoint.
func (gatewayCanary) release(w *writes) {
	if w.mem.StableService.Revision == "" && w.mem.CanaryService.Revision == "" { // the hash is not ours
		return
	}
	services := append([]Service{w.in.Observed.Stable, w.in.Observed.Canary}, w.in.Observed.Leaving...)
	for _, service := range services {
		if service.isLeft() {
			w.act(PointService{Reason: "the rollout is deleted: the selector is restored", Name: service.Name})
		}
	}
}

// rollBackUnverified leaves the traffic on the canary if only the canary has ready endpoints.
func (g gatewayCanary) rollBackUnverified(w *writes, t *transition, why Reason, endOthers bool) {
	if ready(w.in.Observed.Stable) == 0 && ready(w.in.Observed.Canary) > 0 {
		return
	}
	isBack := true
	for _, route := range w.in.Observed.Routes {
		if route.Found && route.Problem == nil && (route.Weight != 0 || route.Mirror != 0 || route.Headers != HeadersNone) {
			isBack = false
			w.act(SetTraffic{Reason: why, Kind: route.Kind, Name: route.Name})
		}
	}
	if isBack && endOthers && t.replicaSet(t.mem.StableRevision).Ready > 0 {
		g.leaveStable(w, t, why)
	}
}

// leaveStable points both Services at the stable revision, and then removes the pods of the others.
func (g gatewayCanary) leaveStable(w *writes, t *transition, why Reason) {
	observed, stable := w.in.Observed, t.mem.StableRevision
	t.mem.StableService.Revision, t.mem.CanaryService.Revision = stable, stable
	for _, service := range []Service{observed.Stable, observed.Canary} {
		if service.isMisdirected(stable) {
			w.act(PointService{Reason: why, Name: service.Name, Revision: stable})
		}
	}
	for _, rs := range observed.ReplicaSets {
		if rs.Revision != stable && rs.Desired > 0 && !g.isReachable(t.view, rs.Revision) {
			w.act(ScaleReplicaSet{Reason: why, Name: rs.Name, MinReadySeconds: rs.MinReadySeconds})
		}
	}
}
