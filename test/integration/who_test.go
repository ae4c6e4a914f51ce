// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

package integration

import (
	"context"
	"fmt"
	"maps"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/canaryrollout/canaryrollout/api/v1alpha1"
	"github.com/canaryrollout/canaryrollout/test/framework/builder"
	"github.com/canaryrollout/canaryrollout/test/framework/cluster"
)

// impersonated returns a client of a user with this name who may do everything.
func impersonated(t *testing.T, user string) client.Client {
	t.Helper()
	config := env.Cluster.RESTConfig(cluster.Admin)
	config.Impersonate.UserName, config.Impersonate.Groups = user, []string{"system:masters"}
	made, err := client.New(config, client.Options{Scheme: env.Admin.Scheme(), Mapper: env.Admin.RESTMapper()})
	if err != nil {
		t.Fatal(err)
	}
	return made
}

// patchBy is patch by another user.
func (a *app) patchBy(user, format string, args ...any) {
	a.t.Helper()
	rollout := &v1alpha1.CanaryRollout{ObjectMeta: metav1.ObjectMeta{Namespace: a.namespace, Name: a.name}}
	patch := client.RawPatch(types.MergePatchType, fmt.Appendf(nil, format, args...))
	if err := impersonated(a.t, user).Patch(a.t.Context(), rollout, patch); err != nil {
		a.t.Fatal(err)
	}
	a.wrote(rollout)
}

// commandBy gives a command as a user who claims to be somebody else.
func (a *app) commandBy(user, command, value string) {
	a.t.Helper()
	a.patchBy(user, `{"metadata":{"annotations":{"canaryrollout.dev/%s":%q,"canaryrollout.dev/promoted-by":"mallory","canaryrollout.dev/aborted-by":"mallory",`+
		`"canaryrollout.dev/retried-by":"mallory","canaryrollout.dev/applied-by":"mallory"}}}`, command, value)
}

func (a *app) imageBy(user, image string) {
	a.t.Helper()
	a.patchBy(user, `{"spec":{"template":{"spec":{"containers":[{"name":"app","image":%q}]}}}}`, image)
}

// checkWho compares who started and who ended each release, newest first.
func (a *app) checkWho(want ...string) {
	a.t.Helper()
	a.waitForNoCommand()
	rollout := a.rollout()
	var got []string
	for _, entry := range rollout.Status.History {
		got = append(got, fmt.Sprintf("%s: %s, %s", entry.Outcome, entry.StartedBy, entry.EndedBy))
	}
	if diff := cmp.Diff(want, got); diff != "" {
		a.t.Errorf("who did it (-want +got):\n%s", diff)
	}
	for key := range rollout.Annotations {
		if key != v1alpha1.AppliedByAnnotation && strings.HasPrefix(key, "canaryrollout.dev/") && strings.HasSuffix(key, "ed-by") {
			a.t.Errorf("%s is left", key)
		}
	}
}

// TestWhoDidIt: with the policy, the history names who applied, promoted, aborted and retried, whatever a request claims.
func TestWhoDidIt(t *testing.T) {
	a := deployed(t, builder.Hold())
	a.checkWho("Promoted: admin, ")
	a.imageBy("alice", builder.ImageV2)
	a.waitForState(v1alpha1.StatePaused)
	a.commandBy("carol", "abort", "slow")
	a.waitForState(v1alpha1.StateAborted)
	a.checkWho("Aborted: alice, carol", "Promoted: admin, ")
	a.commandBy("dave", "retry", "true")
	a.waitForState(v1alpha1.StatePaused)
	a.checkWho("InProgress: dave, ", "Aborted: alice, carol", "Promoted: admin, ")
	a.imageBy("erin", builder.ImageV3)
	a.waitFor("the pause of version 3", func(r *v1alpha1.CanaryRollout) bool {
		return r.Status.State == v1alpha1.StatePaused && strings.HasSuffix(r.Status.Images, builder.ImageV3)
	})
	a.commandBy("bob", "promote", "true")
	a.waitForStable(builder.ImageV3)
	a.checkWho("Promoted: erin, bob", "Superseded: dave, erin", "Aborted: alice, carol", "Promoted: admin, ")
}

// stampsOn returns the annotations that name users.
func stampsOn(rollout *v1alpha1.CanaryRollout) map[string]string {
	stamps := map[string]string{}
	for key, value := range rollout.Annotations {
		if name, isOurs := strings.CutPrefix(key, "canaryrollout.dev/"); isOurs && strings.HasSuffix(name, "ed-by") {
			stamps[name] = value
		}
	}
	return stamps
}

// TestForgedUsers: the policy replaces whatever a request says about users, also beside the policy for commands.
func TestForgedUsers(t *testing.T) {
	bind(t, cluster.Spare3, "canaryrollout-promoter")
	rollout := created(t, "forged")
	if got := stampsOn(rollout); !maps.Equal(got, map[string]string{"applied-by": "admin"}) {
		t.Fatalf("created with %v", got)
	}
	const forged = `{"metadata":{"annotations":{"canaryrollout.dev/promoted-by":"mallory","canaryrollout.dev/applied-by":"mallory"}}}`
	alice, promoter := impersonated(t, "alice"), as(t, cluster.Spare3)
	applied := "admin"
	for _, tc := range []struct {
		what  string
		who   client.Client
		patch string
		want  map[string]string
	}{
		{"a forged name", alice, forged, map[string]string{}},
		{"a forged name by a promoter", promoter, forged, map[string]string{}},
		{"a command by a promoter", promoter, `{"metadata":{"annotations":{"canaryrollout.dev/promote":"true"}}}`, map[string]string{"promoted-by": "user-3"}},
		{"a name that is forged later", alice, forged, map[string]string{"promoted-by": "user-3"}},
		{"the same command again", alice, `{"metadata":{"annotations":{"canaryrollout.dev/promote":"true"}}}`, map[string]string{"promoted-by": "user-3"}},
		{"a second command", alice, `{"metadata":{"annotations":{"canaryrollout.dev/abort":"slow"}}}`, map[string]string{"promoted-by": "user-3", "aborted-by": "alice"}},
		{"a name that is removed", alice, `{"metadata":{"annotations":{"canaryrollout.dev/aborted-by":null,"canaryrollout.dev/applied-by":null}}}`,
			map[string]string{"promoted-by": "user-3", "aborted-by": "alice"}},
		{"a command that is replaced", alice, `{"metadata":{"annotations":{"canaryrollout.dev/promote":"full"}}}`, map[string]string{"promoted-by": "alice", "aborted-by": "alice"}},
		{"a command that is taken back", promoter, `{"metadata":{"annotations":{"canaryrollout.dev/promote":null}}}`, map[string]string{"aborted-by": "alice"}},
		{"no annotations", alice, `{"metadata":{"annotations":null}}`, map[string]string{}},
		{"another size", alice, `{"spec":{"replicas":7}}`, map[string]string{}},
		{"another template", alice, `{"spec":{"template":{"spec":{"priority":7}}},"metadata":{"annotations":null}}`, map[string]string{"applied-by": "alice"}},
	} {
		if by, isNew := tc.want["applied-by"]; isNew {
			applied = by
		}
		tc.want["applied-by"] = applied
		attempt(t, tc.what, "", func(ctx context.Context) error {
			patched := rollout.DeepCopy()
			if err := tc.who.Patch(ctx, patched, client.RawPatch(types.MergePatchType, []byte(tc.patch))); err != nil {
				return err
			}
			if diff := cmp.Diff(tc.want, stampsOn(patched)); diff != "" {
				t.Errorf("%s leaves (-want +got):\n%s", tc.what, diff)
			}
			return nil
		})
	}
}

// TestUsersUnknown: without the policy, nobody is named. It does not apply in a namespace that the binding leaves out.
func TestUsersUnknown(t *testing.T) {
	a := parallel(t)
	mustKubectl(t, "", "patch", "mutatingadmissionpolicybinding", "canaryrollout-users", "--type=merge", "-p",
		`{"spec":{"matchResources":{"namespaceSelector":{"matchExpressions":[{"key":"kubernetes.io/metadata.name","operator":"NotIn","values":["`+a.namespace+`"]}]}}}}`)
	a.within(patience, "the policy to leave out the namespace", func() (bool, string) {
		probe := a.make().Obj()
		err := env.Admin.Create(t.Context(), probe, client.DryRunAll)
		return err == nil && len(stampsOn(probe)) == 0, fmt.Sprint(err, stampsOn(probe))
	})
	a.deploy(a.make().Steps(builder.Hold()))
	a.waitForState(v1alpha1.StateHealthy)
	a.imageBy("alice", builder.ImageV2)
	a.waitForState(v1alpha1.StatePaused)
	a.annotate(abort, "slow")
	a.waitForState(v1alpha1.StateAborted)
	a.checkWho("Aborted: , ", "Promoted: , ")
}

// TestAppliedByGitOps: the annotation does not come and go with each apply of a manifest that does not have it.
func TestAppliedByGitOps(t *testing.T) {
	manifest := &unstructured.Unstructured{Object: named(t, "applied-by-git")}
	remove(t, manifest)
	apply := func(user, want string) (version string) {
		t.Helper()
		applied := manifest.DeepCopy()
		err := impersonated(t, user).Apply(t.Context(), client.ApplyConfigurationFromUnstructured(applied), client.FieldOwner("argocd"), client.ForceOwnership)
		if err != nil {
			t.Fatal(err)
		}
		if got := applied.GetAnnotations()[v1alpha1.AppliedByAnnotation]; got != want {
			t.Errorf("applied by %q, want %q", got, want)
		}
		return applied.GetResourceVersion()
	}
	first := apply("argocd", "argocd")
	if second := apply("argocd", "argocd"); second != first {
		t.Errorf("the same manifest is stored as %s, then as %s", first, second)
	}
	edit(t, manifest.Object, "spec.template.spec.priority: 7")
	apply("flux", "flux")
}
