// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"bytes"
	"encoding/json"
	"fmt"

	"github.com/canaryrollout/canaryrollout/api/v1alpha1"
)

// statusChange is what a pass makes of a status: the prior status and the next one as they are stored. Each of them is encoded once, to
// be compared and to be written. The zero value changes nothing.
type statusChange struct{ before, after []byte }

func newStatusChange(prior, next *v1alpha1.CanaryRolloutStatus) (c statusChange, err error) {
	if c.before, err = json.Marshal(prior); err != nil {
		return statusChange{}, fmt.Errorf("encode the prior status: %w", err)
	}
	if c.after, err = json.Marshal(next); err != nil {
		return statusChange{}, fmt.Errorf("encode the status: %w", err)
	}
	return c, nil
}

// isNone reports whether the two are stored as the same: times may differ by what the format does not hold. Encoding both takes a
// fifth of the time that a comparison by reflection takes.
func (c statusChange) isNone() bool { return bytes.Equal(c.before, c.after) }

// stored returns the next status as it is stored: with the precision that times have there.
func (c statusChange) stored() (status v1alpha1.CanaryRolloutStatus, err error) {
	if err := json.Unmarshal(c.after, &status); err != nil {
		return status, fmt.Errorf("decode the status: %w", err)
	}
	return status, nil
}

// patch returns the merge patch from the prior status to the next one. It sets fields that are gone to null, and replaces lists as a
// whole. Fields that our types do not know are not in it, so they stay. The version makes it a conflict if the rollout has changed, or
// is another one of that name. It is made from the statuses alone: comparing whole rollouts costs several times as much, most of it
// for the template.
func (c statusChange) patch(version string) ([]byte, error) {
	status, err := mergePatch(c.before, c.after)
	if err != nil {
		return nil, fmt.Errorf("compare the statuses: %w", err)
	}
	return json.Marshal(map[string]any{"metadata": map[string]any{"resourceVersion": version}, "status": status})
}

// mergePatch returns the JSON merge patch from one object to another one. Both were encoded by json.Marshal, so fields that are equal
// have the same bytes. Only what differs is decoded.
func mergePatch(before, after json.RawMessage) (map[string]any, error) {
	var prior, next map[string]json.RawMessage
	if err := json.Unmarshal(before, &prior); err != nil {
		return nil, err
	}
	if err := json.Unmarshal(after, &next); err != nil {
		return nil, err
	}
	patch := map[string]any{}
	for field, value := range next {
		switch old, found := prior[field]; {
		case found && bytes.Equal(old, value):
		case found && isObject(old) && isObject(value):
			nested, err := mergePatch(old, value)
			if err != nil {
				return nil, err
			}
			patch[field] = nested
		default:
			patch[field] = value
		}
	}
	for field := range prior {
		if _, found := next[field]; !found {
			patch[field] = nil
		}
	}
	return patch, nil
}

func isObject(value json.RawMessage) bool { return bytes.HasPrefix(value, []byte("{")) }
