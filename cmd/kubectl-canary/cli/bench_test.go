// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"maps"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/cli-runtime/pkg/genericclioptions"
	"k8s.io/cli-runtime/pkg/genericiooptions"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	"github.com/canaryrollout/canaryrollout/api/v1alpha1"
	"github.com/canaryrollout/canaryrollout/controllers/revision"
	"github.com/canaryrollout/canaryrollout/test/framework/builder"
)

func TestMain(m *testing.M) {
	if err := os.Setenv("KUBECONFIG", os.DevNull); err != nil { // keep the developer's kubeconfig out of the tests
		panic(err)
	}
	m.Run()
}

const (
	stableRevision = "7d5c8b6f4x"
	canaryRevision = "594c75879c"
	formerRevision = "66bd4k2vzq"
)

var now = time.Date(2030, 5, 17, 10, 30, 0, 0, time.UTC)

func hold() v1alpha1.Step { return v1alpha1.Step{Pause: &v1alpha1.Pause{}} }

func weight(percent int32) v1alpha1.Step { return v1alpha1.Step{SetWeight: &percent} }

func template(image string) corev1.PodTemplateSpec {
	return corev1.PodTemplateSpec{
		ObjectMeta: metav1.ObjectMeta{Labels: map[string]string{"app": "reviews"}},
		Spec: corev1.PodSpec{
			InitContainers: []corev1.Container{{Name: "migrate", Image: "migrate:1"}},
			Containers:     []corev1.Container{{Name: "app", Image: image, Args: []string{"a && b <c>"}}, {Name: "proxy", Image: "proxy:1"}},
		},
	}
}

// edit changes a rollout before it is stored.
type edit = func(*v1alpha1.CanaryRollout)

// resting returns a rollout with a stable revision and nothing in flight.
func resting(edits ...edit) *v1alpha1.CanaryRollout {
	object := &v1alpha1.CanaryRollout{
		TypeMeta:   metav1.TypeMeta{APIVersion: v1alpha1.GroupVersion.String(), Kind: "CanaryRollout"},
		ObjectMeta: metav1.ObjectMeta{Name: "reviews", Namespace: "shop", UID: "7", Generation: 4, CreationTimestamp: metav1.NewTime(now.Add(-time.Hour))},
		Spec: v1alpha1.CanaryRolloutSpec{
			Replicas: ptr.To[int32](3), Template: builder.Template(template("reviews:1")), Steps: []v1alpha1.Step{weight(10), hold(), weight(50)},
			Selector: v1alpha1.PodSelector{MatchLabels: map[string]string{"app": "reviews"}},
		},
		Status: v1alpha1.CanaryRolloutStatus{
			ObservedGeneration: 4, State: v1alpha1.StateHealthy, Step: "3/3", Weight: "100", Revision: stableRevision, Ready: "3/3",
			RevisionWeight: &v1alpha1.RevisionWeight{Verified: 100, Desired: 100},
			Message:        "revision " + stableRevision + " serves all traffic",
			Stable:         &v1alpha1.RevisionStatus{Revision: stableRevision, Desired: 3, Ready: 3},
			History: []v1alpha1.HistoryEntry{
				{Revision: stableRevision, Images: "reviews:1", Outcome: v1alpha1.OutcomePromoted},
				{Revision: canaryRevision, Images: "reviews:2", Outcome: v1alpha1.OutcomeAborted},
				{Revision: formerRevision, Images: "reviews:0", Outcome: v1alpha1.OutcomePromoted},
			},
			Memory: &v1alpha1.Memory{StableRevision: stableRevision, CurrentRevision: stableRevision, Phase: v1alpha1.PhaseIdle},
		},
	}
	for _, edit := range edits {
		edit(object)
	}
	rememberTemplate(object, object.Status.Memory)
	return object
}

// rememberTemplate records the hash of the template in the memory, as the operator does.
func rememberTemplate(object *v1alpha1.CanaryRollout, memory *v1alpha1.Memory) {
	if memory == nil || memory.Template.Hash != "" {
		return
	}
	raw, err := runtime.DefaultUnstructuredConverter.ToUnstructured(object)
	if err != nil {
		panic(err)
	}
	hash, err := revision.Hash(revision.Template(&unstructured.Unstructured{Object: raw}))
	if err != nil {
		panic(err)
	}
	memory.Template.Hash = hash
	if memory.Template.Revision == "" {
		memory.Template.Revision = memory.CurrentRevision
	}
}

// paused returns a rollout with a canary, paused at step 2/3.
func paused(edits ...edit) *v1alpha1.CanaryRollout {
	return resting(append([]edit{func(r *v1alpha1.CanaryRollout) {
		r.Spec.Template = builder.Template(template("reviews:2"))
		r.Status.State, r.Status.Step, r.Status.Weight, r.Status.Revision = v1alpha1.StatePaused, "2/3", "10", canaryRevision
		r.Status.RevisionWeight = &v1alpha1.RevisionWeight{Verified: 10, Desired: 10}
		r.Status.Message = "paused until promoted: kubectl -n shop annotate canaryrollout reviews canaryrollout.dev/promote=true"
		r.Status.Pause = &v1alpha1.PauseStatus{Reason: v1alpha1.ReasonPauseStep}
		r.Status.Canary = &v1alpha1.RevisionStatus{Revision: canaryRevision, Desired: 1, Ready: 1}
		memory := r.Status.Memory
		memory.CurrentRevision, memory.Phase, memory.StepIndex = canaryRevision, v1alpha1.PhaseStepping, 1
		memory.StepsHash = "seen"
	}}, edits...)...)
}

// aborted returns a rollout whose spec has an aborted revision.
func aborted(edits ...edit) *v1alpha1.CanaryRollout {
	return resting(append([]edit{func(r *v1alpha1.CanaryRollout) {
		r.Spec.Template = builder.Template(template("reviews:2"))
		r.Status.State, r.Status.Step, r.Status.Revision = v1alpha1.StateAborted, "0/3", canaryRevision
		memory := r.Status.Memory
		memory.AbortedRevision, memory.AbortReason, memory.Template.Revision = canaryRevision, "by hand", canaryRevision
	}}, edits...)...)
}

func held(r *v1alpha1.CanaryRollout) { r.Spec.Paused = true }

func replicaSet(name, image string) *appsv1.ReplicaSet {
	made := template(image)
	made.Labels = maps.Clone(made.Labels)
	made.Labels[v1alpha1.RevisionLabel] = name
	return &appsv1.ReplicaSet{
		TypeMeta: metav1.TypeMeta{APIVersion: "apps/v1", Kind: "ReplicaSet"},
		ObjectMeta: metav1.ObjectMeta{
			Name: "reviews-" + name, Namespace: "shop",
			Labels: map[string]string{v1alpha1.RolloutLabel: "reviews", v1alpha1.RevisionLabel: name},
		},
		Spec: appsv1.ReplicaSetSpec{Replicas: ptr.To[int32](0), Template: made},
	}
}

func sets() []client.Object {
	return []client.Object{replicaSet(stableRevision, "reviews:1"), replicaSet(canaryRevision, "reviews:2"), replicaSet(formerRevision, "reviews:0")}
}

// bench runs commands against an in-memory API server.
type bench struct {
	t       *testing.T
	client  client.WithWatch
	options *Options
	out     *bytes.Buffer
	errOut  *bytes.Buffer
}

func newBench(t *testing.T, objects ...client.Object) *bench {
	return interceptedBench(t, interceptor.Funcs{}, objects...)
}

func interceptedBench(t *testing.T, funcs interceptor.Funcs, objects ...client.Object) *bench {
	t.Helper()
	scheme, err := NewScheme()
	if err != nil {
		t.Fatal(err)
	}
	byName := func(object client.Object) []string { return []string{object.GetName()} }
	b := &bench{t: t, out: &bytes.Buffer{}, errOut: &bytes.Buffer{}}
	b.client = fake.NewClientBuilder().WithScheme(scheme).WithObjects(objects...).WithStatusSubresource(&v1alpha1.CanaryRollout{}).
		WithIndex(&v1alpha1.CanaryRollout{}, "metadata.name", byName).WithInterceptorFuncs(funcs).Build()
	b.options = NewOptions(genericiooptions.IOStreams{In: strings.NewReader(""), Out: b.out, ErrOut: b.errOut})
	b.options.Now = func() time.Time { return now }
	b.options.NewClient = func() (client.WithWatch, error) { return b.client, nil }
	b.options.Size = func() (int, int, bool) { return 0, 0, false }
	return b
}

// run runs a command line in namespace shop. It returns the exit code and the output on stdout and stderr.
func (b *bench) run(args ...string) (code int, out, errOut string) {
	b.t.Helper()
	return b.runUntil(b.t.Context(), args...)
}

func (b *bench) runUntil(ctx context.Context, args ...string) (code int, out, errOut string) {
	b.t.Helper()
	b.out.Reset()
	b.errOut.Reset()
	b.options.Config = genericclioptions.NewConfigFlags(true)
	command := NewCommand(b.options)
	command.SetArgs(append(args, "-n", "shop"))
	code = Run(ctx, command)
	return code, b.out.String(), b.errOut.String()
}

func (b *bench) get() *v1alpha1.CanaryRollout {
	b.t.Helper()
	object := &v1alpha1.CanaryRollout{}
	if err := b.client.Get(b.t.Context(), client.ObjectKey{Namespace: "shop", Name: "reviews"}, object); err != nil {
		b.t.Fatal(err)
	}
	return object
}

// meanwhile changes the rollout right before the first patch arrives, so that what the user saw is outdated.
func meanwhile(edits ...edit) interceptor.Funcs {
	done := false
	return interceptor.Funcs{Patch: func(ctx context.Context, c client.WithWatch, object client.Object, patch client.Patch, options ...client.PatchOption) error {
		if !done {
			done = true
			stored := &v1alpha1.CanaryRollout{}
			if err := c.Get(ctx, client.ObjectKeyFromObject(object), stored); err != nil {
				return err
			}
			for _, edit := range edits {
				edit(stored)
			}
			status := stored.Status.DeepCopy()
			if err := c.Update(ctx, stored); err != nil {
				return err
			}
			stored.Status = *status
			if err := c.Status().Update(ctx, stored); err != nil {
				return err
			}
		}
		return asServer(c.Patch(ctx, object, patch, options...))
	}}
}

// asServer gives the error of a JSON patch the form that the API server uses.
func asServer(err error) error {
	if err != nil && strings.Contains(err.Error(), "failed") {
		return apierrors.NewGenericServerResponse(http.StatusUnprocessableEntity, "", schema.GroupResource{}, "", err.Error(), 0, false)
	}
	return err
}

func decode(t *testing.T, text string) map[string]any {
	t.Helper()
	var object map[string]any
	if err := json.Unmarshal([]byte(text), &object); err != nil {
		t.Fatal(errors.Join(err, errors.New(text)))
	}
	return object
}
