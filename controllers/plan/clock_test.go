// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

package plan

import (
	"reflect"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/canaryrollout/canaryrollout/api/v1alpha1"
)

// TestClampTimes checks that no time in memory stays in the future, in any field.
func TestClampTimes(t *testing.T) {
	var mem v1alpha1.Memory
	moments := fillMoments(reflect.ValueOf(&mem).Elem(), epoch.Add(24*time.Hour))
	if len(moments) < 10 {
		t.Fatalf("found %d moments in a memory", len(moments))
	}
	clampTimes(&mem, epoch)
	for path, moment := range moments {
		if !moment.Equal(&metav1.MicroTime{Time: epoch}) {
			t.Errorf("%s is left at %s", path, moment)
		}
	}
}

// fillMoments sets every MicroTime below a value, and returns them by their paths. Lists get one element.
func fillMoments(value reflect.Value, at time.Time) map[string]*metav1.MicroTime {
	found := map[string]*metav1.MicroTime{}
	var fill func(path string, value reflect.Value)
	fill = func(path string, value reflect.Value) {
		switch moment, isMoment := reflect.TypeFor[*metav1.MicroTime](), value.Kind() == reflect.Pointer; {
		case isMoment && value.Type() == moment:
			set := &metav1.MicroTime{Time: at}
			value.Set(reflect.ValueOf(set))
			found[path] = set
		case isMoment && value.Type().Elem().PkgPath() == reflect.TypeFor[v1alpha1.Memory]().PkgPath():
			value.Set(reflect.New(value.Type().Elem()))
			fill(path, value.Elem())
		case value.Kind() == reflect.Struct:
			for i := range value.NumField() {
				fill(path+"."+value.Type().Field(i).Name, value.Field(i))
			}
		case value.Kind() == reflect.Slice && value.Type().Elem().Kind() == reflect.Struct:
			value.Set(reflect.MakeSlice(value.Type(), 1, 1))
			fill(path+"[0]", value.Index(0))
		}
	}
	fill("memory", value)
	return found
}

// TestClockJumpsBack checks that a clock that was a day ahead when a weight was verified only restarts the settleSeconds.
func TestClockJumpsBack(t *testing.T) {
	in := changed(rollingBack(0), memory(func(m *v1alpha1.Memory) { m.Traffic.VerifiedAt = ago(-24 * 3600) }))
	plan := Compute(in)
	if settle := newSettings(&in.Spec).settle; plan.WakeAt.IsZero() || plan.WakeAt.After(in.Now.Add(settle)) {
		t.Errorf("wakes at %s: %s", plan.WakeAt, plan.Status.Message)
	}
}
