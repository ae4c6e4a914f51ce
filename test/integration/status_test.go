// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

package integration

import (
	"reflect"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/canaryrollout/canaryrollout/api/v1alpha1"
)

// TestStatusIsStoredWhole writes every field of the status and reads it back. If one were missing in the CRD, the API
// server would prune it silently, and the controller would lose it.
func TestStatusIsStoredWhole(t *testing.T) {
	ctx := t.Context()
	rollout := created(t, "whole")
	fill(t, reflect.ValueOf(&rollout.Status).Elem(), "status")
	// Only one field of this one may be set.
	rollout.Status.Memory.StepTargets.Scale.Weight, rollout.Status.Memory.StepTargets.Scale.MatchTrafficWeight = nil, nil
	want := rollout.Status.DeepCopy()

	if err := env.Admin.Status().Update(ctx, rollout); err != nil {
		t.Fatal(err)
	}
	stored := &v1alpha1.CanaryRollout{}
	if err := env.Admin.Get(ctx, client.ObjectKeyFromObject(rollout), stored); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, &stored.Status); diff != "" {
		t.Errorf("written (-) and stored (+):\n%s", diff)
	}
}

// TestEmptyStatusIsStored: meaningful zero values are kept, and an empty memory is valid.
func TestEmptyStatusIsStored(t *testing.T) {
	rollout := created(t, "empty")
	rollout.Status = v1alpha1.CanaryRolloutStatus{Memory: &v1alpha1.Memory{}}
	if err := env.Admin.Status().Update(t.Context(), rollout); err != nil {
		t.Error(err)
	}
}

// words are values of the string types that do not allow arbitrary ones.
var words = map[reflect.Type]string{
	reflect.TypeFor[v1alpha1.State]():                string(v1alpha1.StatePaused),
	reflect.TypeFor[v1alpha1.Outcome]():              string(v1alpha1.OutcomePromoted),
	reflect.TypeFor[v1alpha1.Phase]():                string(v1alpha1.PhaseStepping),
	reflect.TypeFor[v1alpha1.Transition]():           string(v1alpha1.TransitionPaused),
	reflect.TypeFor[v1alpha1.Command]():              string(v1alpha1.CommandAbort),
	reflect.TypeFor[v1alpha1.ScaleMode]():            string(v1alpha1.ScaleModeExact),
	reflect.TypeFor[v1alpha1.MetricVerdict]():        string(v1alpha1.VerdictPassed),
	reflect.TypeFor[v1alpha1.MetricStatusScope]():    string(v1alpha1.MetricBake),
	reflect.TypeFor[metav1.ConditionStatus]():        string(metav1.ConditionTrue),
	reflect.TypeFor[gatewayv1.HTTPMethod]():          string(gatewayv1.HTTPMethodGet),
	reflect.TypeFor[gatewayv1.HeaderMatchType]():     string(gatewayv1.HeaderMatchRegularExpression),
	reflect.TypeFor[gatewayv1.QueryParamMatchType](): string(gatewayv1.QueryParamMatchRegularExpression),
	reflect.TypeFor[gatewayv1.GRPCMethodMatchType](): string(gatewayv1.GRPCMethodMatchRegularExpression),
}

// fill sets every field below v to a non-zero value.
func fill(t *testing.T, v reflect.Value, path string) {
	t.Helper()
	switch at := time.Date(2026, 1, 2, 3, 4, 5, 0, time.Local); v.Interface().(type) {
	case metav1.Time:
		v.Set(reflect.ValueOf(metav1.NewTime(at)))
		return
	case metav1.MicroTime:
		v.Set(reflect.ValueOf(metav1.NewMicroTime(at.Add(6789 * time.Microsecond))))
		return
	}
	switch v.Kind() {
	case reflect.Struct:
		for i := range v.NumField() {
			fill(t, v.Field(i), path+"."+v.Type().Field(i).Name)
		}
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		fill(t, v.Elem(), path)
	case reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), 1, 1))
		fill(t, v.Index(0), path)
	case reflect.String:
		word, ok := words[v.Type()]
		if !ok {
			word = "word"
		}
		v.SetString(word)
	case reflect.Bool:
		v.SetBool(true)
	case reflect.Int32, reflect.Int64:
		v.SetInt(42)
	default:
		t.Fatalf("%s is a %s: say here how to fill it", path, v.Kind())
	}
}
