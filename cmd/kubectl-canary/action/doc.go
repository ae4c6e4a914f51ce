// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

// Package action makes what a user can do to a rollout: each action is a guarded patch, with words that say what it leads to. It
// refuses what the operator would refuse. The commands of package cli and the page of package dashboard share it.
package action
