// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"context"
	"fmt"
	"net"
	"strconv"

	"github.com/spf13/cobra"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/canaryrollout/canaryrollout/api/v1alpha1"
	"github.com/canaryrollout/canaryrollout/cmd/kubectl-canary/dashboard"
)

// NewDashboardCommand returns the command that serves a web page with the rollouts.
func NewDashboardCommand(o *Options) *cobra.Command {
	var port uint16
	var isReadOnly bool
	command := &cobra.Command{
		Use:   "dashboard",
		Short: "Show and control rollouts on a web page of your own",
		Long: `Show and control rollouts on a web page that only you can open. It runs until you stop it, on this machine and with
the rights of your kubeconfig. Without -n, it shows the rollouts of all namespaces if you may list them, otherwise those of
the namespace of the current context.

Open the URL that it prints. It contains a token, so do not share it.`,
		Example: `  kubectl canary dashboard
  kubectl canary dashboard -n shop --port 8090 --read-only`,
		Args: cobra.NoArgs, ValidArgsFunction: cobra.NoFileCompletions,
	}
	command.Flags().Uint16Var(&port, "port", 0, "The port of the page. 0 chooses a free one.")
	command.Flags().BoolVar(&isReadOnly, "read-only", false, "Leave out all actions.")
	command.RunE = func(command *cobra.Command, _ []string) error {
		s, err := o.open()
		if err != nil {
			return err
		}
		options := dashboard.Options{Client: s.client, IsReadOnly: isReadOnly, Now: o.Now}
		if err := s.scope(command.Context(), &options); err != nil {
			return err
		}
		listener, err := new(net.ListenConfig).Listen(command.Context(), "tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(int(port))))
		if err != nil {
			return fmt.Errorf("%w: choose another port with --port, or leave it out", err)
		}
		return dashboard.Run(command.Context(), listener, options, func(url string) error {
			return s.print(fmt.Sprintf("The dashboard runs until you press Ctrl-C. Open this URL, which is for you only:\n\n  %s\n\n", url))
		})
	}
	return command
}

// scope decides which namespaces are shown: the given one; otherwise all, or if that is forbidden the current one.
func (s *session) scope(ctx context.Context, options *dashboard.Options) error {
	probe := func(namespace string) error {
		return s.client.List(ctx, &v1alpha1.CanaryRolloutList{}, client.InNamespace(namespace), client.Limit(1))
	}
	if ptr.Deref(s.Config.Namespace, "") == "" {
		err := probe("")
		if !apierrors.IsForbidden(err) {
			return s.explain(ctx, "", err)
		}
		options.Notice = fmt.Sprintf("You may not list the rollouts of all namespaces, so this page shows those of namespace %s.", s.namespace)
	}
	options.Namespace = s.namespace
	return s.explain(ctx, "", probe(s.namespace))
}
