// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

package harness

import (
	"fmt"

	"k8s.io/apimachinery/pkg/api/equality"

	"github.com/canaryrollout/canaryrollout/api/v1alpha1"
)

// CarriedOut lists the commands that a rollout carried out, with where each was given and where it led. It reads them
// from every status that the API server published: a carried-out command is in one status and not in the next. Events
// would not do, because a manager that dies after its status write emits none.
func CarriedOut(moments []Moment) []string {
	commands := []string{}
	var pending *v1alpha1.CommandMemory
	for _, moment := range moments {
		var command *v1alpha1.CommandMemory
		memory := moment.Status.Memory
		if memory != nil {
			command = memory.Command
		}
		if pending != nil && memory != nil && !equality.Semantic.DeepEqual(pending, command) {
			commands = append(commands, fmt.Sprintf("%s at step %d of revision %s: %s, step %d",
				pending.Command, pending.StepIndex, pending.Revision, memory.Phase, memory.StepIndex))
		}
		pending = command
	}
	return commands
}
