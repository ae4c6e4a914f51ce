// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/canaryrollout/canaryrollout/api/v1alpha1"
	"github.com/canaryrollout/canaryrollout/cmd/kubectl-canary/action"
	"github.com/canaryrollout/canaryrollout/cmd/kubectl-canary/feed"
	"github.com/canaryrollout/canaryrollout/cmd/kubectl-canary/view"
)

// Exit codes of status.
const (
	exitHealthy = 0
	// exitFailed means Degraded or Aborted.
	exitFailed = 1
	// exitNotYet means that the rollout is still in progress, or that the timeout has passed.
	exitNotYet = 2
	// exitUnknown means that the state could not be determined.
	exitUnknown = 3
)

// NewStatusCommand returns the command that reports the state of a rollout by its exit code, for scripts.
func NewStatusCommand(o *Options) *cobra.Command {
	var isWaiting bool
	var timeout time.Duration
	command := &cobra.Command{
		Use:   "status NAME",
		Short: "Report the state of a rollout in one line and by the exit code",
		Long: `Report the state of a rollout in one line and by the exit code:

  0  Healthy: the template in its spec is stable and serves all traffic
  1  Degraded or Aborted
  2  not finished: still in progress, or with --wait the timeout has passed
  3  the state could not be determined

A change of the spec or a command that the operator has not processed yet counts as in progress.`,
		Example: `  kubectl canary status reviews
  kubectl canary status reviews --wait --timeout 30m`,
		Args: oneName, ValidArgsFunction: o.completeRollouts,
	}
	command.Flags().BoolVar(&isWaiting, "wait", false, "Wait until it is Healthy, Degraded or Aborted.")
	command.Flags().DurationVar(&timeout, "timeout", 0, "How long to wait at most. 0 means no limit.")
	run := o.withSession(func(command *cobra.Command, s *session, name string) error {
		if timeout != 0 && !isWaiting {
			return errors.New("--timeout requires --wait")
		}
		r, err := s.find(command.Context(), name)
		switch {
		case err != nil:
			return err
		case isWaiting:
			return s.waitForEnd(command.Context(), r, timeout)
		default:
			return s.printOutcome(r.CanaryRollout, outcome(r.CanaryRollout))
		}
	})
	command.RunE = func(command *cobra.Command, args []string) error {
		err := run(command, args)
		if exit := (*ExitError)(nil); err != nil && !errors.As(err, &exit) {
			return &ExitError{Code: exitUnknown, Err: err}
		}
		return err
	}
	return command
}

// outcome returns the exit code for a rollout. The status is not final if it is outdated or a command is pending.
func outcome(object *v1alpha1.CanaryRollout) int {
	r := &action.Rollout{CanaryRollout: object}
	if !r.IsObserved() || r.HasCommand() || r.DeletionTimestamp != nil {
		return exitNotYet
	}
	switch r.Status.State {
	case v1alpha1.StateHealthy:
		return exitHealthy
	case v1alpha1.StateAborted, v1alpha1.StateDegraded:
		return exitFailed
	default:
		return exitNotYet
	}
}

// printOutcome prints the line and returns the exit code as an error, unless it is 0.
func (s *session) printOutcome(object *v1alpha1.CanaryRollout, code int) error {
	style := s.style()
	style.Width = 0
	line := view.Line(style, object, s.flags())
	if r := (&action.Rollout{CanaryRollout: object}); !r.IsObserved() || r.HasCommand() {
		line += "  (the operator has not processed the last change or command yet)"
	}
	if err := s.print(line + "\n"); err != nil || code == exitHealthy {
		return err
	}
	return &ExitError{Code: code}
}

// waitForEnd watches until the rollout has reached its end. Meanwhile it prints changes to stderr.
func (s *session) waitForEnd(ctx context.Context, r *action.Rollout, timeout time.Duration) error {
	if timeout > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, timeout)
		defer cancel()
	}
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	dirty := make(chan struct{}, 1)
	f := feed.New(s.client, &v1alpha1.CanaryRolloutList{}, dirty, nil, s.byName(r.Name)...)
	go f.Run(ctx)
	last, printed := r.CanaryRollout, ""
	for {
		select {
		case <-ctx.Done():
			return s.printOutcome(last, exitNotYet)
		case <-dirty:
		}
		objects, isSynced, err := f.State()
		found := feed.Typed[v1alpha1.CanaryRollout](objects)
		if err == nil && isSynced && len(found) == 0 {
			return fmt.Errorf("rollout %s was deleted", r.Name)
		}
		if len(found) > 0 {
			last = &found[0]
		}
		if code := outcome(last); isSynced && code != exitNotYet {
			return s.printOutcome(last, code)
		}
		if line := progress(last, err); line != printed {
			_, _ = fmt.Fprintln(s.ErrOut, line)
			printed = line
		}
	}
}

// progress describes how far a rollout has come, or why it cannot be observed.
func progress(object *v1alpha1.CanaryRollout, err error) string {
	if err != nil {
		return fmt.Sprintf("waiting all the same: %v", err)
	}
	return fmt.Sprintf("%s  step %s  weight %s", object.Status.State, object.Status.Step, object.Status.Weight)
}
