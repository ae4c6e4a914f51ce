// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

package apply

import (
	"errors"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/canaryrollout/canaryrollout/controllers/observe"
)

var (
	// errUnknownAction means that an action was added to plan and not here.
	errUnknownAction = errors.New("no such action")
	// errNotObserved means that an action names an object that the plan cannot have seen.
	errNotObserved = errors.New("the object is not among the observed ones")
)

// asConflict turns the API server's refusal of a JSON patch whose test failed into the conflict that it means. Such a
// patch never reaches validation, so the 422 does not say what is invalid; a validation error does.
func asConflict(err error, object observe.Object) error {
	var status apierrors.APIStatus
	if !apierrors.IsInvalid(err) || !errors.As(err, &status) {
		return err
	}
	if details := status.Status().Details; details != nil && (details.Kind != "" || len(details.Causes) > 0) {
		return err
	}
	resource := schema.GroupResource{Group: object.Kind.Group, Resource: object.Kind.Kind}
	return apierrors.NewConflict(resource, object.Name, err)
}
