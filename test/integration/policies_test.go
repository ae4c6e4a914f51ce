// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

package integration

import (
	"context"
	"fmt"
	"strings"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/yaml"

	"github.com/canaryrollout/canaryrollout/api/v1alpha1"
	"github.com/canaryrollout/canaryrollout/test/framework/cluster"
	"github.com/canaryrollout/canaryrollout/test/framework/operator"
)

// The policies of config/policies are active in all tests of this package, so each test with an operator shows that
// they do not block its work. The tests in this file show what they refuse.
var policies = []string{"../../config/policies/commands.yaml", "../../config/policies/manager.yaml", "../../config/policies/users.yaml"}

// attempt expects that a request is refused with this message, or succeeds if want is empty. A newly bound right may
// take a moment.
func attempt(t *testing.T, what, want string, request func(context.Context) error) {
	t.Helper()
	var last error
	eventually(t, what, func(ctx context.Context) (bool, error) {
		if last = request(ctx); last == nil && want != "" {
			return false, fmt.Errorf("was carried out, want %q", want)
		}
		return want == "" && last == nil || want != "" && strings.Contains(last.Error(), want), nil
	})
}

func as(t *testing.T, user cluster.User) client.Client {
	t.Helper()
	c, err := env.Client(user)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

const (
	noPromote = "promote and retry take the verb promote on canaryrollouts"
	noAbort   = "abort takes the verb abort on canaryrollouts"
	noUpdate  = "to change more than the command annotations takes the verb update on canaryrollouts"
)

// TestCommandPolicy: users who may promote and abort need not be allowed to change what is released, and each command
// requires its verb. Users who may update the spec can still advance a release by changing its steps.
func TestCommandPolicy(t *testing.T) {
	mustKubectl(t, "", "apply", "-f", "../../config/rbac/canaryrollout_edit_role.yaml")
	if err := operator.Install(t.Context(), env.Cluster); err != nil {
		t.Fatal(err)
	}
	rollout := created(t, "guarded")
	bind(t, cluster.Spare1, "canaryrollout-promoter")
	bind(t, cluster.Spare2, "canaryrollout-edit")
	promoter, editor, manager := as(t, cluster.Spare1), as(t, cluster.Spare2), as(t, cluster.Operator)
	command := func(name, value string) string {
		return fmt.Sprintf(`{"metadata":{"annotations":{"canaryrollout.dev/%s":%s}}}`, name, value)
	}
	const image = `{"spec":{"replicas":7}}`
	for _, tc := range []struct {
		who         client.Client
		what, patch string
		want        string
	}{
		{promoter, "a promote", command("promote", `"true"`), ""},
		{promoter, "another promote", command("promote", `"full"`), ""},
		{promoter, "an abort", command("abort", `"it is slow"`), ""},
		{promoter, "a retry", command("retry", `"true"`), ""},
		{promoter, "a change of the spec", image, noUpdate},
		{promoter, "a label", `{"metadata":{"labels":{"a":"b"}}}`, noUpdate},
		{promoter, "another annotation", `{"metadata":{"annotations":{"a":"b"}}}`, noUpdate},
		{promoter, "a finalizer", `{"metadata":{"finalizers":["example.com/a"]}}`, "to change finalizers takes the verb update"},
		{promoter, "a name of a user", `{"metadata":{"annotations":{"canaryrollout.dev/promoted-by":"mallory","canaryrollout.dev/applied-by":"mallory"}}}`, ""},
		{promoter, "a promote with a change", `{"metadata":{"annotations":{"canaryrollout.dev/promote":"x"}},"spec":{"replicas":8}}`, noUpdate},
		{editor, "a promote by an editor", command("promote", `"true"`), noPromote},
		{editor, "a retry by an editor", command("retry", `"again"`), noPromote},
		{editor, "an abort by an editor", command("abort", `"true"`), noAbort},
		{editor, "a change by an editor", image, ""},
		{editor, "a label by an editor", `{"metadata":{"labels":{"a":"b"},"annotations":{"a":"b"}}}`, ""},
		{editor, "a command that is taken back", command("retry", "null"), ""},
		{manager, "the manager's finalizer", `{"metadata":{"finalizers":["canaryrollout.dev/traffic"]}}`, ""},
		{manager, "a command that was carried out", command("promote", "null"), ""},
		{manager, "a promote by the manager", command("promote", `"true"`), noPromote},
		{manager, "a change by the manager", `{"spec":{"replicas":9}}`, noUpdate},
		{manager, "the finalizer is removed", `{"metadata":{"finalizers":null}}`, ""},
	} {
		attempt(t, tc.what, tc.want, func(ctx context.Context) error {
			return tc.who.Patch(ctx, rollout.DeepCopy(), client.RawPatch(types.MergePatchType, []byte(tc.patch)))
		})
	}
	withCommand := &unstructured.Unstructured{Object: named(t, "born-promoted")}
	withCommand.SetAnnotations(map[string]string{"canaryrollout.dev/promote": "full"})
	attempt(t, "a rollout that is created with a command", noPromote, func(ctx context.Context) error {
		return editor.Create(ctx, withCommand.DeepCopy())
	})
}

const (
	notOurs    = "the manager of CanaryRollouts may write only ReplicaSets that a CanaryRollout controls"
	notOurJob  = "the manager of CanaryRollouts may write only Jobs that a CanaryRollout controls"
	noTemplate = "the manager of CanaryRollouts may change no pod template"
	noSelector = "the manager of CanaryRollouts may change only pod-template-hash in the selector of a Service"
	noService  = "the manager of CanaryRollouts may change nothing of a Service but its selector"
	noMetadata = "the manager of CanaryRollouts may change no metadata of a Service"
)

// strangers do not belong to the manager: a ReplicaSet of another owner, one without an owner, and a Service.
const strangers = `
apiVersion: v1
kind: Service
metadata: {name: stranger, namespace: default}
spec: {ports: [{port: 80}], selector: {app: stranger}}
---
apiVersion: apps/v1
kind: ReplicaSet
metadata: {name: orphan, namespace: default}
spec:
  replicas: 0
  selector: {matchLabels: {app: stranger}}
  template: {metadata: {labels: {app: stranger}}, spec: {containers: [{name: a, image: a}]}}
---
apiVersion: apps/v1
kind: ReplicaSet
metadata: {name: owned, namespace: default}
spec:
  replicas: 0
  selector: {matchLabels: {app: owned}}
  template: {metadata: {labels: {app: owned}}, spec: {containers: [{name: a, image: a}]}}
`

// TestManagerPolicy: a stolen token of the manager cannot write ReplicaSets of other controllers, nor the template of
// an existing one, and can write only one label of selectors.
func TestManagerPolicy(t *testing.T) {
	if err := operator.Install(t.Context(), env.Cluster); err != nil {
		t.Fatal(err)
	}
	rollout := created(t, "owner")
	var objects []*unstructured.Unstructured
	for document := range strings.SplitSeq(strangers, "\n---\n") {
		object := &unstructured.Unstructured{}
		if err := yaml.Unmarshal([]byte(document), object); err != nil {
			t.Fatal(err)
		}
		if object.GetName() == "owned" {
			object.SetOwnerReferences([]metav1.OwnerReference{{
				APIVersion: "v1", Kind: "Service", Name: "stranger", UID: objects[0].GetUID(), Controller: ptr.To(true),
			}})
		}
		if err := env.Admin.Create(t.Context(), object); err != nil {
			t.Fatal(err)
		}
		remove(t, object)
		objects = append(objects, object)
	}
	service, orphan, owned := objects[0], objects[1], objects[2]
	adoption := fmt.Sprintf(`{"metadata":{"ownerReferences":[{"apiVersion":"canaryrollout.dev/v1alpha1","kind":"CanaryRollout",`+
		`"name":"owner","uid":%q,"controller":true}]}%%s}`, rollout.UID)
	manager := as(t, cluster.Operator)
	for _, tc := range []struct {
		what   string
		object client.Object
		patch  string
		want   string
	}{
		{"the size of an unowned ReplicaSet", orphan, `{"spec":{"replicas":3}}`, notOurs},
		{"the size of another owner's ReplicaSet", owned, `{"spec":{"replicas":3}}`, notOurs},
		{"an owner in another owner's ReplicaSet", owned, fmt.Sprintf(adoption, ""), notOurs},
		{"an adoption with another image", orphan, fmt.Sprintf(adoption, `,"spec":{"template":{"spec":{"priority":1}}}`), noTemplate},
		{"an adoption", orphan, fmt.Sprintf(adoption, ""), ""},
		{"the size of one of ours", orphan, `{"spec":{"minReadySeconds":3}}`, ""},
		{"the template of one of ours", orphan, `{"spec":{"template":{"spec":{"hostNetwork":true}}}}`, noTemplate},
		{"another label of the selector", service, `{"spec":{"selector":{"app":"mine"}}}`, noSelector},
		{"a selector without its label", service, `{"spec":{"selector":{"app":null}}}`, noSelector},
		{"one label more", service, `{"spec":{"selector":{"b":"c"}}}`, noSelector},
		{"a port", service, `{"spec":{"ports":[{"port":81}]}}`, noService},
		{"an external address", service, `{"spec":{"externalIPs":["192.0.2.1"]}}`, noService},
		{"a Service's annotation", service, `{"metadata":{"annotations":{"a":"b"}}}`, noMetadata},
		{"the hash", service, `{"spec":{"selector":{"pod-template-hash":"abc"}}}`, ""},
		{"no hash", service, `{"spec":{"selector":{"pod-template-hash":null}}}`, ""},
	} {
		attempt(t, tc.what, tc.want, func(ctx context.Context) error {
			return manager.Patch(ctx, tc.object.DeepCopyObject().(client.Object), client.RawPatch(types.MergePatchType, []byte(tc.patch)))
		})
	}
	attempt(t, "a ReplicaSet that is not a rollout's", notOurs, func(ctx context.Context) error {
		fresh := &appsv1.ReplicaSet{}
		fresh.Namespace, fresh.Name = namespace, "fresh"
		fresh.Spec.Selector, fresh.Spec.Template.Labels = &metav1.LabelSelector{MatchLabels: map[string]string{"app": "fresh"}}, map[string]string{"app": "fresh"}
		fresh.Spec.Template.Spec.Containers = []corev1.Container{{Name: "a", Image: "a"}}
		return manager.Create(ctx, fresh)
	})
	attempt(t, "the deletion of another owner's ReplicaSet", notOurs, func(ctx context.Context) error { return manager.Delete(ctx, owned.DeepCopy()) })
	attempt(t, "the deletion of one of ours", "", func(ctx context.Context) error {
		return client.IgnoreNotFound(manager.Delete(ctx, orphan.DeepCopy()))
	})
}

// TestManagerJobPolicy: with the rights for Jobs, a stolen token of the manager can create and delete only Jobs that a rollout
// controls. One that lost its rollout to --cascade=orphan can still be cleaned up.
func TestManagerJobPolicy(t *testing.T) {
	if err := operator.Install(t.Context(), env.Cluster); err != nil {
		t.Fatal(err)
	}
	mustKubectl(t, "", append([]string{"apply"}, jobRights...)...)
	rollout := created(t, "runs-jobs")
	manager := as(t, cluster.Operator)
	other := &corev1.Namespace{} // an owner that exists: the garbage collector would delete the Job otherwise
	if err := env.Admin.Get(t.Context(), client.ObjectKey{Name: namespace}, other); err != nil {
		t.Fatal(err)
	}
	foreign := metav1.OwnerReference{APIVersion: "v1", Kind: "Namespace", Name: other.Name, UID: other.UID, Controller: ptr.To(true)}
	of := func(name string, labels map[string]string, owners ...metav1.OwnerReference) *batchv1.Job {
		job := &batchv1.Job{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name, Labels: labels, OwnerReferences: owners}}
		job.Spec.Suspend = ptr.To(true) // no pods
		job.Spec.Template.Spec.RestartPolicy = corev1.RestartPolicyNever
		job.Spec.Template.Spec.Containers = []corev1.Container{{Name: "a", Image: "a"}}
		return job
	}
	label := map[string]string{v1alpha1.RolloutLabel: rollout.Name}
	for _, tc := range []struct {
		what string
		job  *batchv1.Job
		// create and remove are what the manager is told when it creates and when it deletes the Job.
		create, remove string
	}{
		{"a Job of a rollout", of("ours", label, *metav1.NewControllerRef(rollout, v1alpha1.GroupVersion.WithKind("CanaryRollout"))), "", ""},
		{"a Job without an owner", of("unowned", nil), notOurJob, notOurJob},
		{"a Job that lost its rollout", of("orphaned", label), notOurJob, ""},
		{"a Job of another owner", of("foreign", label, foreign), notOurJob, notOurJob},
	} {
		attempt(t, "to create "+tc.what, tc.create, func(ctx context.Context) error {
			return client.IgnoreAlreadyExists(manager.Create(ctx, tc.job.DeepCopy()))
		})
		if err := env.Admin.Create(t.Context(), tc.job.DeepCopy()); client.IgnoreAlreadyExists(err) != nil {
			t.Fatal(err)
		}
		remove(t, tc.job)
		attempt(t, "to delete "+tc.what, tc.remove, func(ctx context.Context) error {
			return client.IgnoreNotFound(manager.Delete(ctx, tc.job.DeepCopy(), client.PropagationPolicy(metav1.DeletePropagationBackground)))
		})
	}
}
