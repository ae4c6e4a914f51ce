// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

package feed

import (
	"context"
	"errors"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	"github.com/canaryrollout/canaryrollout/test/framework/bubble"
)

// TestRetries counts the requests of 100 seconds. What is forbidden is asked for less and less often; a connection is not given up.
func TestRetries(t *testing.T) {
	forbidden := apierrors.NewForbidden(schema.GroupResource{Resource: "pods"}, "", errors.New("not yours"))
	for name, test := range map[string]struct {
		err  error
		want int
	}{
		"forbidden":   {forbidden, 8}, // after 0, 1, 3, 7, 15, 31, 61 and 91 seconds
		"unreachable": {errors.New("connection refused"), 100},
	} {
		t.Run(name, func(t *testing.T) {
			bubble.Test(t, func(t *testing.T) {
				asked := 0
				c := fake.NewClientBuilder().WithInterceptorFuncs(interceptor.Funcs{
					List: func(context.Context, client.WithWatch, client.ObjectList, ...client.ListOption) error {
						asked++
						return test.err
					},
				}).Build()
				ctx, stop := context.WithTimeout(t.Context(), 100*time.Second-time.Millisecond)
				defer stop()
				f := New(c, &corev1.PodList{}, make(chan struct{}, 1), nil)
				f.Run(ctx)
				if asked != test.want {
					t.Errorf("%d requests, not %d", asked, test.want)
				}
				if _, isSynced, err := f.State(); isSynced || !errors.Is(err, test.err) {
					t.Errorf("synced %t, error %v", isSynced, err)
				}
			})
		})
	}
}
