// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"context"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	"github.com/canaryrollout/canaryrollout/api/v1alpha1"
	"github.com/canaryrollout/canaryrollout/test/framework/builder"
)

func annotated(key, value string) edit {
	return func(r *v1alpha1.CanaryRollout) {
		if r.Annotations == nil {
			r.Annotations = map[string]string{}
		}
		r.Annotations[key] = value
	}
}

const followIt = " Follow it with: kubectl canary get reviews -w -n shop\n"

// writes are commands that succeed, with what they print and what they change in the rollout.
var writes = map[string]struct {
	rollout *v1alpha1.CanaryRollout
	args    string
	message string
	change  edit
}{
	"promote": {
		paused(), "promote reviews", "promoted reviews at step 2/3 (revision 594c75879c); next: setWeight 50." + followIt,
		annotated(v1alpha1.PromoteAnnotation, canaryRevision+"/2"),
	},
	"promote, named as kubectl prints it": {
		paused(), "promote canaryrollout.canaryrollout.dev/reviews", "promoted reviews at step 2/3 (revision 594c75879c); next: setWeight 50." + followIt,
		annotated(v1alpha1.PromoteAnnotation, canaryRevision+"/2"),
	},
	"promote, beside other annotations": {
		paused(annotated("team", "books")), "promote reviews --at 594c75879c/2",
		"promoted reviews at step 2/3 (revision 594c75879c); next: setWeight 50." + followIt,
		annotated(v1alpha1.PromoteAnnotation, canaryRevision+"/2"),
	},
	"promote to the end": {
		paused(), "promote reviews --full --at 594c75879c",
		"promoted reviews to the end (revision 594c75879c); next: it gets 100 % of the traffic, and then replaces 7d5c8b6f4x." + followIt,
		annotated(v1alpha1.PromoteAnnotation, canaryRevision+"/full"),
	},
	"abort": {
		paused(), "abort reviews", "aborted reviews (revision 594c75879c); next: all traffic returns to revision 7d5c8b6f4x." + followIt,
		annotated(v1alpha1.AbortAnnotation, "true"),
	},
	"abort for a reason": {
		paused(held), "abort reviews --reason=errors", "aborted reviews (revision 594c75879c); next: all traffic returns to revision 7d5c8b6f4x." + followIt,
		annotated(v1alpha1.AbortAnnotation, "errors"),
	},
	"retry": {
		aborted(), "retry reviews", "retrying revision 594c75879c of reviews; next: step 1/3, setWeight 10." + followIt,
		annotated(v1alpha1.RetryAnnotation, "true"),
	},
	"pause": {
		paused(), "pause reviews", "paused reviews; revision 594c75879c stays where it is until: kubectl canary resume reviews -n shop\n", held,
	},
	"pause at rest": {
		resting(), "pause reviews", "paused reviews; no release is in flight, and a new template starts no release until: kubectl canary resume reviews -n shop\n", held,
	},
	"resume": {
		paused(held), "resume reviews", "resumed reviews; it continues where it was." + followIt,
		func(r *v1alpha1.CanaryRollout) { r.Spec.Paused = false },
	},
	"undo a release": {
		paused(), "undo reviews", "applied the template of revision 7d5c8b6f4x to reviews again; next: all traffic returns to it, and the release ends." + followIt,
		func(r *v1alpha1.CanaryRollout) { r.Spec.Template = builder.Template(template("reviews:1")) },
	},
	"undo after an abort": {
		aborted(), "undo reviews", "applied the template of revision 7d5c8b6f4x to reviews again; next: nothing, because it serves all traffic." + followIt,
		func(r *v1alpha1.CanaryRollout) { r.Spec.Template = builder.Template(template("reviews:1")) },
	},
	"undo at rest": {
		resting(), "undo reviews", "applied the template of revision 66bd4k2vzq to reviews again; next: step 1/3, setWeight 10." + followIt,
		func(r *v1alpha1.CanaryRollout) { r.Spec.Template = builder.Template(template("reviews:0")) },
	},
	"undo to a revision": {
		paused(), "undo reviews --to-revision=66bd4k2vzq",
		"applied the template of revision 66bd4k2vzq to reviews again; next: the traffic of revision 594c75879c returns to 7d5c8b6f4x, then step 1/3, setWeight 10." + followIt,
		func(r *v1alpha1.CanaryRollout) { r.Spec.Template = builder.Template(template("reviews:0")) },
	},
	"set image": {
		resting(), "set image reviews app=reviews:2", "set app=reviews:2 in the template of reviews; next: step 1/3, setWeight 10." + followIt,
		func(r *v1alpha1.CanaryRollout) { builder.SetImage(r, "reviews:2") },
	},
	"set images, of an init container too": {
		resting(held), "set image reviews proxy=proxy:2 migrate=migrate:2 app=reviews:1",
		"set proxy=proxy:2, migrate=migrate:2, app=reviews:1 in the template of reviews; next: nothing, because spec.paused holds the rollout: kubectl canary resume reviews." + followIt,
		func(r *v1alpha1.CanaryRollout) {
			builder.EditTemplate(r, func(t *corev1.PodTemplateSpec) {
				t.Spec.Containers[1].Image, t.Spec.InitContainers[0].Image = "proxy:2", "migrate:2"
			})
		},
	},
}

// TestWrites checks what every command prints and writes, with and without dry run.
func TestWrites(t *testing.T) {
	for name, tc := range writes {
		t.Run(name, func(t *testing.T) {
			b := newBench(t, append(sets(), tc.rollout.DeepCopy())...)
			before := b.get()
			want := before.DeepCopy()
			tc.change(want)
			args := strings.Fields(tc.args)
			for _, dry := range []struct{ flag, suffix string }{{"client", " (dry run)"}, {"server", " (server dry run)"}} {
				code, out, errOut := b.run(append(args, "--dry-run="+dry.flag)...)
				if wanted := strings.TrimSuffix(tc.message, "\n") + dry.suffix + "\n"; code != 0 || out != wanted {
					t.Errorf("%s: code %d, %s: %s", dry.flag, code, errOut, cmp.Diff(wanted, out))
				}
				if !equality.Semantic.DeepEqual(before, b.get()) {
					t.Errorf("--dry-run=%s wrote something", dry.flag)
				}
			}
			code, out, errOut := b.run(args...)
			if code != 0 || out != tc.message {
				t.Errorf("code %d, %s: (-want +got)\n%s", code, errOut, cmp.Diff(tc.message, out))
			}
			got := b.get()
			if diff := cmp.Diff(want.Annotations, got.Annotations); diff != "" {
				t.Errorf("annotations (-want +got):\n%s", diff)
			}
			if diff := cmp.Diff(want.Spec, got.Spec); diff != "" {
				t.Errorf("spec (-want +got):\n%s", diff)
			}
		})
	}
}

// TestRefusals checks that invalid commands are rejected before anything is written, and why.
func TestRefusals(t *testing.T) {
	late := func(r *v1alpha1.CanaryRollout) { r.Generation = 5 }
	deleted := func(r *v1alpha1.CanaryRollout) {
		r.DeletionTimestamp, r.Finalizers = &metav1.Time{Time: now}, []string{v1alpha1.Finalizer}
	}
	for name, tc := range map[string]struct {
		rollout *v1alpha1.CanaryRollout
		args    string
		want    string
	}{
		"being deleted":          {paused(deleted), "promote reviews", "rollout reviews is being deleted and hands back its traffic: nothing was written"},
		"promote at rest":        {resting(), "promote reviews", "reviews was not promoted: the rollout is not at a pause or an analysis step (it is Healthy)"},
		"promote held":           {paused(held), "promote reviews", "reviews was not promoted: spec.paused holds the rollout: set it to false first (it is Paused at step 2/3)"},
		"promote full at rest":   {resting(), "promote reviews --full", "reviews was not promoted: nothing is in flight (it is Healthy)"},
		"promote full aborted":   {aborted(), "promote reviews --full", "reviews was not promoted: revision 594c75879c is aborted: retry it first (it is Aborted)"},
		"promote another step":   {paused(), "promote reviews --at 594c75879c/1", "reviews was not promoted: it should be at 594c75879c/1, but is at 594c75879c/2"},
		"promote another":        {paused(), "promote reviews --at 66bd4k2vzq/2", "reviews was not promoted: it should be at 66bd4k2vzq/2, but is at 594c75879c/2"},
		"promote another, full":  {paused(), "promote reviews --full --at 66bd4k2vzq", "reviews was not promoted: it should be at 66bd4k2vzq, but is at 594c75879c"},
		"promote too early":      {paused(late), "promote reviews", "the operator has not processed the last change of rollout reviews yet (generation 5, processed is 4): try again, or check that it runs"},
		"abort at rest":          {resting(), "abort reviews", "reviews was not aborted: nothing is in flight; to roll back, apply the previous template: its pods may still be running, and promote=full skips the steps (it is Healthy)"},
		"abort again":            {aborted(), "abort reviews", "reviews was not aborted: revision 594c75879c is already aborted (it is Aborted)"},
		"retry at rest":          {resting(), "retry reviews", "reviews was not retried: nothing is aborted (it is Healthy)"},
		"pause again":            {paused(held), "pause reviews", "reviews is already held by spec.paused; to resume it: kubectl canary resume reviews -n shop"},
		"resume":                 {resting(), "resume reviews", "reviews is not held by spec.paused"},
		"resume a pause step":    {paused(), "resume reviews", "reviews is not held by spec.paused, but at the pause of step 2/3, which is left by: kubectl canary promote reviews -n shop"},
		"undo to what is":        {paused(), "undo reviews --to-revision 594c75879c", "reviews was not changed: it already has the template of revision 594c75879c"},
		"undo to nothing":        {resting(), "undo reviews --to-revision x", "revision x has no ReplicaSet any more, so there is no template to apply; there is 594c75879c, 66bd4k2vzq"},
		"undo the first deploy":  {resting(func(r *v1alpha1.CanaryRollout) { r.Status.Memory.StableRevision = "" }), "undo reviews", "reviews was not changed: this is its first deploy, so there is no former revision"},
		"undo without a history": {resting(func(r *v1alpha1.CanaryRollout) { r.Status.History = r.Status.History[:2] }), "undo reviews", "reviews was not changed: no revision that was stable before has a ReplicaSet any more; choose one with --to-revision: there is 594c75879c, 66bd4k2vzq"},
		"set no image":           {resting(), "set image reviews app", `"app" is not CONTAINER=IMAGE, as in: app=registry.example.com/reviews:2`},
		"set an image twice":     {resting(), "set image reviews app=a app=b", "container app is given two images"},
		"set the same image":     {resting(), "set image reviews app=reviews:1", "reviews was not changed: it has these images already"},
		"set another container":  {resting(), "set image reviews web=x", `the template of reviews has no container "web"; there is app, proxy, migrate`},
		"no operator":            {resting(func(r *v1alpha1.CanaryRollout) { r.Status = v1alpha1.CanaryRolloutStatus{} }), "abort reviews", "the operator has not processed rollout reviews yet: check that it runs, and that it watches namespace shop"},
		"wrong dry run":          {paused(), "abort reviews --dry-run=x", `--dry-run is none, client or server, not "x"`},
		"no name":                {paused(), "abort", "kubectl canary abort takes the name of one rollout, as in: kubectl canary abort reviews"},
		"no image":               {paused(), "set image reviews", "kubectl canary set image takes the name of a rollout, and images, as in: kubectl canary set image reviews app=registry.example.com/reviews:2"},
		"nothing to set":         {paused(), "set", "set what? For example: kubectl canary set image reviews app=registry.example.com/reviews:2"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			patches := 0
			b := interceptedBench(t, interceptor.Funcs{Patch: func(context.Context, client.WithWatch, client.Object, client.Patch, ...client.PatchOption) error {
				patches++
				return nil
			}}, append(sets(), tc.rollout)...)
			code, _, errOut := b.run(strings.Fields(tc.args)...)
			if code != 1 || errOut != "error: "+tc.want+"\n" || patches > 0 {
				t.Errorf("code %d, %d patches (-want +got):\n%s", code, patches, cmp.Diff("error: "+tc.want+"\n", errOut))
			}
		})
	}
}

// TestAbortUnseen checks that an abort is also written if the operator has not observed the last change, because the
// operator may be down.
func TestAbortUnseen(t *testing.T) {
	t.Parallel()
	b := newBench(t, paused(func(r *v1alpha1.CanaryRollout) { r.Generation = 5 }))
	if code, _, errOut := b.run("abort", "reviews"); code != 0 || b.get().Annotations[v1alpha1.AbortAnnotation] != "true" {
		t.Errorf("code %d: %s", code, errOut)
	}
}

// TestMovedOn checks that no command affects a revision, step or spec other than the one that was seen.
func TestMovedOn(t *testing.T) {
	nextStep := func(r *v1alpha1.CanaryRollout) { r.Status.Memory.StepIndex = 2 }
	another := func(r *v1alpha1.CanaryRollout) { r.Status.Memory.CurrentRevision = formerRevision }
	newer := func(r *v1alpha1.CanaryRollout) { builder.SetImage(r, "reviews:3") }
	for name, tc := range map[string]struct {
		rollout   *v1alpha1.CanaryRollout
		args      string
		meanwhile edit
	}{
		"promote, next step":        {paused(), "promote reviews", nextStep},
		"promote, another revision": {paused(), "promote reviews", another},
		"full, another revision":    {paused(), "promote reviews --full", another},
		"abort, another revision":   {paused(), "abort reviews", another},
		"abort, newer template":     {paused(), "abort reviews", newer},
		"retry, newer template":     {aborted(), "retry reviews", newer},
		"retry, retried by another": {aborted(), "retry reviews", func(r *v1alpha1.CanaryRollout) { r.Status.Memory.AbortedRevision = "" }},
		"retry, first annotation":   {aborted(), "retry reviews", annotated("team", "books")},
		"pause, paused by another":  {paused(), "pause reviews", held},
		"resume, by another":        {paused(held), "resume reviews", func(r *v1alpha1.CanaryRollout) { r.Spec.Paused = false }},
		"undo, newer template":      {paused(), "undo reviews", newer},
		"set image, newer image":    {paused(), "set image reviews app=reviews:9", newer},
	} {
		t.Run(name, func(t *testing.T) {
			b := interceptedBench(t, meanwhile(tc.meanwhile), append(sets(), tc.rollout)...)
			code, _, errOut := b.run(strings.Fields(tc.args)...)
			want := "error: rollout reviews has changed since it was read, so nothing was written: check it and try again: kubectl canary get reviews -n shop\n"
			if code != 1 || errOut != want {
				t.Errorf("code %d: %s", code, errOut)
			}
			moved := tc.rollout.DeepCopy()
			tc.meanwhile(moved)
			if got := b.get(); !equality.Semantic.DeepEqual(moved.Spec, got.Spec) || len(got.Annotations) != len(moved.Annotations) {
				t.Errorf("something was written: %v %v", got.Spec, got.Annotations)
			}
		})
	}
}

// TestOutput checks what -o prints for a change.
func TestOutput(t *testing.T) {
	b := newBench(t, append(sets(), paused())...)
	_, out, _ := b.run("promote", "reviews", "-o", "name", "--dry-run=client")
	if out != "canaryrollout.canaryrollout.dev/reviews\n" {
		t.Errorf("-o name prints %q", out)
	}
	_, out, _ = b.run("abort", "reviews", "-o", "json", "--dry-run")
	if got := decode(t, out)["metadata"].(map[string]any)["annotations"].(map[string]any)[v1alpha1.AbortAnnotation]; got != "true" {
		t.Errorf("-o json prints %s", out)
	}
	_, out, _ = b.run("set", "image", "reviews", "app=reviews:5", "-o", "yaml")
	if !strings.Contains(out, "image: reviews:5") {
		t.Errorf("-o yaml prints %s", out)
	}
	if code, _, errOut := b.run("abort", "reviews", "-o", "nonsense"); code != 1 || !strings.Contains(errOut, "json") {
		t.Errorf("-o nonsense: %d %s", code, errOut)
	}
}
