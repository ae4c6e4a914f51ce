// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

package plan

import (
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/cli-utils/pkg/kstatus/status"
	"sigs.k8s.io/yaml"

	"github.com/canaryrollout/canaryrollout/api/v1alpha1"
	"github.com/canaryrollout/canaryrollout/test/framework/golden"
)

// healthScenes are passes in every state that other tools have to read right, and what kstatus makes of the status.
func healthScenes() map[string]healthScene {
	steps := []v1alpha1.Step{weight(50), pause(0), weight(100)}
	atPause := changed(midway(50, steps...), memory(func(m *v1alpha1.Memory) { m.StepIndex = 1 }))
	overdue := memory(func(m *v1alpha1.Memory) { m.Progress.At = ago(3600) })
	timed := changed(midway(50, weight(50), pause(2*time.Hour), weight(100)), memory(func(m *v1alpha1.Memory) { m.StepIndex = 1 }))
	scenes := map[string]healthScene{
		"initializing":      {changed(firstDeploy(), alive("b", 1)), status.InProgressStatus},
		"healthy":           {idle(steps...), status.CurrentStatus},
		"lacking-a-pod":     {changed(idle(steps...), alive("a", 3)), status.InProgressStatus},
		"progressing":       {changed(midway(50, steps...), unverified), status.InProgressStatus},
		"paused":            {atPause, status.InProgressStatus},
		"paused-timed":      {timed, status.InProgressStatus},
		"held":              {changed(midway(50, steps...), unverified, specPaused), status.InProgressStatus},
		"promoting":         {changed(promoting(50), canaryEndpoints("b", 3)), status.InProgressStatus},
		"rolling-back":      {changed(rollingBack(50), template("c"), unverified), status.InProgressStatus},
		"aborting":          {changed(rollingBack(50), aborted("b"), unverified), status.InProgressStatus},
		"aborted":           {changed(idle(steps...), aborted("b"), template("b")), status.FailedStatus},
		"degraded":          {changed(midway(50, steps...), problem(v1alpha1.ReasonServiceConflict)), status.FailedStatus},
		"degraded-deadline": {changed(midway(50, steps...), unverified, overdue), status.FailedStatus},
		"terminating":       {changed(rollingBack(50), deleted(1), unverified), status.TerminatingStatus},
	}
	for _, state := range commandStates() {
		name := strings.ReplaceAll(strings.ReplaceAll("command "+state.name, ",", ""), " ", "-")
		scenes[name] = healthScene{state.in, kstatusOf(ComputeMove(state.in).Status.State)}
	}
	return scenes
}

type healthScene struct {
	in   Input
	want status.Status
}

// object is the rollout as the API server holds it after the pass.
func (s healthScene) object(t *testing.T) *unstructured.Unstructured {
	t.Helper()
	s.in.Generation = 3
	rollout := &v1alpha1.CanaryRollout{
		TypeMeta: metav1.TypeMeta{APIVersion: v1alpha1.GroupVersion.String(), Kind: "CanaryRollout"},
		ObjectMeta: metav1.ObjectMeta{
			Namespace: s.in.Namespace, Name: s.in.Name, Generation: s.in.Generation, Finalizers: []string{v1alpha1.Finalizer},
		},
		Spec:   s.in.Spec,
		Status: ComputeMove(s.in).Status,
	}
	if !s.in.DeletedAt.IsZero() {
		rollout.DeletionTimestamp = seconds(s.in.DeletedAt)
	}
	return stored(t, rollout)
}

// stored is an object after it went through JSON, as all tools get it.
func stored(t *testing.T, rollout *v1alpha1.CanaryRollout) *unstructured.Unstructured {
	t.Helper()
	content, err := runtime.DefaultUnstructuredConverter.ToUnstructured(rollout)
	if err != nil {
		t.Fatal(err)
	}
	unstructured.RemoveNestedField(content, "spec", "template")
	return &unstructured.Unstructured{Object: content}
}

func checkKstatus(t *testing.T, object *unstructured.Unstructured, want status.Status) {
	t.Helper()
	got, err := status.Compute(object)
	if err != nil {
		t.Fatal(err)
	}
	if got.Status != want {
		t.Errorf("kstatus reads %s (%s), want %s", got.Status, got.Message, want)
	}
}

// TestKstatus checks what kstatus, and with it Flux, Helm and others, make of each state, and that a spec that was just
// changed is InProgress whatever the status says of the one before. Flux and Helm use a fork of the library, whose rules
// are the same to the byte in v1.3.0; the original needs no other version of anything here.
func TestKstatus(t *testing.T) {
	for name, scene := range healthScenes() {
		t.Run(name, func(t *testing.T) {
			object := scene.object(t)
			checkKstatus(t, object, scene.want)
			if scene.want == status.TerminatingStatus {
				return
			}
			object.SetGeneration(object.GetGeneration() + 1)
			checkKstatus(t, object, status.InProgressStatus)
		})
	}
}

// TestKstatusRefused checks that a permanently refused write reads as Failed, even if it came with a new spec.
func TestKstatusRefused(t *testing.T) {
	rollout := &v1alpha1.CanaryRollout{ObjectMeta: metav1.ObjectMeta{Generation: 5}}
	healthy := ComputeMove(idle()).Status
	rollout.Status = Failed(healthy, healthy, rollout.Generation, "denied by a webhook", epoch)
	checkKstatus(t, stored(t, rollout), status.FailedStatus)
}

// kstatusOf returns the kstatus that a state must have.
func kstatusOf(state v1alpha1.State) status.Status {
	switch state {
	case v1alpha1.StateHealthy:
		return status.CurrentStatus
	case v1alpha1.StateAborted, v1alpha1.StateDegraded:
		return status.FailedStatus
	case v1alpha1.StateTerminating:
		return status.TerminatingStatus
	default:
		return status.InProgressStatus
	}
}

// checkChange holds what the time in a state is read off (controllers/metrics): a change of state changes one of these
// conditions, or begins a phase.
func (tr *transcript) checkChange(prior v1alpha1.CanaryRolloutStatus) {
	tr.t.Helper()
	before, after := prior, tr.status
	if before.State == after.State || after.State == v1alpha1.StateTerminating {
		return
	}
	for _, kind := range []string{
		v1alpha1.ConditionReady, v1alpha1.ConditionReconciling, v1alpha1.ConditionStalled, v1alpha1.ConditionPaused,
	} {
		if meta.IsStatusConditionTrue(before.Conditions, kind) != meta.IsStatusConditionTrue(after.Conditions, kind) {
			return
		}
	}
	if before.Memory.Phase == after.Memory.Phase {
		tr.t.Errorf("from %s to %s: no condition has changed, and no phase has begun", before.State, after.State)
	}
}

// checkHealth compares kstatus with the state in a pass of a transcript, so that no pass between two states reads wrong.
func (tr *transcript) checkHealth() {
	tr.t.Helper()
	rollout := &v1alpha1.CanaryRollout{ObjectMeta: metav1.ObjectMeta{Generation: 1}, Status: tr.status}
	if !tr.deleted.IsZero() {
		rollout.DeletionTimestamp = seconds(tr.deleted)
	}
	checkKstatus(tr.t, stored(tr.t, rollout), kstatusOf(tr.status.State))
}

// acceptedCommands are those that would be carried out if they were given to the stored object, by the names that they
// have in other tools.
func (s healthScene) acceptedCommands() []string {
	after := s.in
	after.Prior = ComputeMove(s.in).Status
	at := fmt.Sprintf("promote=%s/%d", after.Prior.Memory.CurrentRevision, after.Prior.Memory.StepIndex+1)
	var names []string
	for name, text := range map[string]string{"promote": at, "promote-full": "promote=full", "abort": "abort=true", "retry": "retry=true"} {
		given := after
		given.Prior.Memory = after.Prior.Memory.DeepCopy()
		command(text)(&given)
		if Compute(given).Status.Memory.Command != nil {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}

// TestHealthObjects keeps the objects of the scenes, and the commands that each of them takes, for the tests of what other
// tools make of them and know only what is stored: config/argocd and docs. go test -update writes them.
func TestHealthObjects(t *testing.T) {
	var names []string
	commands := map[string][]string{}
	for name, scene := range healthScenes() {
		object, err := yaml.Marshal(scene.object(t))
		if err != nil {
			t.Fatal(err)
		}
		golden.Check(t, "testdata/health/"+name+".golden", string(object))
		names = append(names, filepath.Join("testdata", "health", name+".golden"))
		commands[name] = scene.acceptedCommands()
	}
	accepted, err := yaml.Marshal(commands)
	if err != nil {
		t.Fatal(err)
	}
	golden.Check(t, "testdata/commands.golden", string(accepted))
	found, err := filepath.Glob(filepath.Join("testdata", "health", "*.golden"))
	if err != nil {
		t.Fatal(err)
	}
	slices.Sort(names)
	if diff := cmp.Diff(names, found); diff != "" {
		t.Errorf("files differ (-want +got): remove files that belong to no scene:\n%s", diff)
	}
}
