// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

package v1alpha1

import (
	"reflect"
	"strings"
	"testing"
)

// TestStepKind: every field of a step has a kind of its name. One that is forgotten in Kind would be held as unknown.
func TestStepKind(t *testing.T) {
	for i := range reflect.TypeFor[Step]().NumField() {
		var step Step
		field := reflect.ValueOf(&step).Elem().Field(i)
		field.Set(reflect.New(field.Type().Elem()))
		name, _, _ := strings.Cut(reflect.TypeFor[Step]().Field(i).Tag.Get("json"), ",")
		if got := step.Kind(); string(got) != name {
			t.Errorf("a step with %s is of kind %q", name, got)
		}
	}
	if got := (&Step{}).Kind(); got != StepUnknown {
		t.Errorf("an empty step is of kind %q", got)
	}
}
