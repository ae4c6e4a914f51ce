// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

package backend

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strconv"
	"time"

	corev1 "k8s.io/api/core/v1"
)

// Environment variables of a pod's first container that make a version bad. Without them, a pod answers well and at once.
const (
	// ErrorPercent is the share of requests, in percent, that the pod answers with status 500, for example 3. Which
	// requests these are is random.
	ErrorPercent = "ERROR_PERCENT"
	// Latency is how long the pod takes for each answer, for example 400ms.
	Latency = "LATENCY"
)

// A manner is how a pod answers.
type manner struct {
	errorPercent float64
	latency      time.Duration
	// problem is why the environment cannot be used. The pod answers with it.
	problem error
}

func mannerOf(object *corev1.Pod) (m manner) {
	for _, variable := range object.Spec.Containers[0].Env {
		var err error
		switch variable.Name {
		case ErrorPercent:
			if m.errorPercent, err = strconv.ParseFloat(variable.Value, 64); err != nil {
				err = fmt.Errorf("%s must be a number, for example 3: %w", ErrorPercent, err)
			}
		case Latency:
			if m.latency, err = time.ParseDuration(variable.Value); err != nil {
				err = fmt.Errorf("%s must be a duration, for example 400ms: %w", Latency, err)
			}
		}
		m.problem = errors.Join(m.problem, err)
	}
	return m
}

// perform takes the time that the pod needs for an answer, and returns an error if the answer is one.
func (m manner) perform(ctx context.Context) error {
	if m.latency > 0 {
		timer := time.NewTimer(m.latency)
		defer timer.Stop()
		select {
		case <-timer.C:
		case <-ctx.Done():
		}
	}
	if m.problem == nil && rand.Float64()*100 < m.errorPercent {
		return fmt.Errorf("%s is %g", ErrorPercent, m.errorPercent)
	}
	return m.problem
}
