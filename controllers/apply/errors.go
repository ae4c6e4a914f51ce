// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

package apply

import (
	"errors"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/canaryrollout/canaryrollout/controllers/jsonpatch"
	"github.com/canaryrollout/canaryrollout/controllers/observe"
)

var (
	// errUnknownAction means that an action was added to plan and not here.
	errUnknownAction = errors.New("no such action")
	// errNotObserved means that an action names an object that the plan cannot have observed.
	errNotObserved = errors.New("the object is not among the observed ones")
)

// asConflict turns the error of a JSON patch whose test failed into the conflict that it means.
func asConflict(err error, object observe.Object) error {
	if !jsonpatch.IsTestFailure(err) {
		return err
	}
	resource := schema.GroupResource{Group: object.Kind.Group, Resource: object.Kind.Kind}
	return apierrors.NewConflict(resource, object.Name, err)
}
