// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strconv"
	"strings"

	"github.com/spf13/cobra"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/canaryrollout/canaryrollout/api/v1alpha1"
	"github.com/canaryrollout/canaryrollout/cmd/kubectl-canary/dashboard"
)

// dashboardFlags are the flags of the dashboard.
type dashboardFlags struct {
	port        uint16
	isReadOnly  bool
	isInCluster bool
	listen      string
	hosts       []string
}

// NewDashboardCommand returns the command that serves a web page with the rollouts.
func NewDashboardCommand(o *Options) *cobra.Command {
	var flags dashboardFlags
	command := &cobra.Command{
		Use:   "dashboard",
		Short: "Show and control rollouts on a web page of your own",
		Long: `Show and control rollouts on a web page that only you can open. It runs until you stop it, on this machine and with
the rights of your kubeconfig. Without -n, it shows the rollouts of all namespaces if you may list them, otherwise those of
the namespace of the current context. -n takes several namespaces, separated by commas.

Open the URL that it prints. It contains a token, so do not share it.

With --in-cluster, it serves the page from a pod, read-only and with the rights of the pod's service account. It does not
authenticate anybody: put a proxy in front that does, and let nobody else connect to it.`,
		Example: `  kubectl canary dashboard
  kubectl canary dashboard -n shop --port 8090 --read-only
  kubectl canary dashboard --in-cluster --host canaries.example.com`,
		Args: cobra.NoArgs, ValidArgsFunction: cobra.NoFileCompletions,
	}
	command.Flags().Uint16Var(&flags.port, "port", 0, "The port of the page. 0 chooses a free one.")
	command.Flags().BoolVar(&flags.isReadOnly, "read-only", false, "Leave out all actions.")
	command.Flags().BoolVar(&flags.isInCluster, "in-cluster", false, "Serve from a pod, read-only, behind a proxy that authenticates users.")
	command.Flags().StringVar(&flags.listen, "listen", ":8080", "With --in-cluster, the address to listen on.")
	command.Flags().StringSliceVar(&flags.hosts, "host", nil, "With --in-cluster, a host name by which users open the page. Repeat it for others.")
	command.RunE = func(command *cobra.Command, _ []string) error {
		if err := flags.check(command); err != nil {
			return err
		}
		o.isInCluster = flags.isInCluster
		s, err := o.open()
		if err != nil {
			return err
		}
		options := dashboard.Options{Client: s.client, IsReadOnly: flags.isReadOnly, Now: o.Now}
		if err := s.scope(command.Context(), &options); err != nil {
			return err
		}
		if flags.isInCluster {
			return s.serveInCluster(command.Context(), flags, options)
		}
		return s.serveDashboard(command.Context(), flags, options)
	}
	return command
}

// check refuses flags that do not fit together.
func (f *dashboardFlags) check(command *cobra.Command) error {
	switch isSet := command.Flags().Changed; {
	case f.isInCluster && len(f.hosts) == 0:
		return errors.New("--in-cluster needs --host: the host name by which users open the page, as in --host canaries.example.com")
	case f.isInCluster && isSet("port"):
		return errors.New("--port is for your own machine: with --in-cluster, set --listen, as in --listen :8080")
	case !f.isInCluster && (isSet("host") || isSet("listen")):
		return errors.New("--host and --listen need --in-cluster: without it, the page is for you only, on this machine")
	default:
		return nil
	}
}

func (s *session) serveDashboard(ctx context.Context, flags dashboardFlags, options dashboard.Options) error {
	listener, err := new(net.ListenConfig).Listen(ctx, "tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(int(flags.port))))
	if err != nil {
		return fmt.Errorf("%w: choose another port with --port, or leave it out", err)
	}
	return dashboard.Run(ctx, listener, options, func(url string) error {
		return s.print(fmt.Sprintf("The dashboard runs until you press Ctrl-C. Open this URL, which is for you only:\n\n  %s\n\n", url))
	})
}

func (s *session) serveInCluster(ctx context.Context, flags dashboardFlags, options dashboard.Options) error {
	listener, err := new(net.ListenConfig).Listen(ctx, "tcp", flags.listen)
	if err != nil {
		return fmt.Errorf("%w: choose another address with --listen, as in --listen :8080", err)
	}
	return dashboard.RunBehindProxy(ctx, listener, options, flags.hosts, func() error {
		return s.print(fmt.Sprintf("The dashboard listens on %s, for %s. It does not authenticate anybody: only a proxy that does may connect.\n",
			listener.Addr(), strings.Join(flags.hosts, ", ")))
	})
}

// scope decides which namespaces are shown: the given ones; otherwise all, or if that is forbidden the current one. A pod has no
// current namespace that anybody has chosen.
func (s *session) scope(ctx context.Context, options *dashboard.Options) error {
	probe := func(namespace string) error {
		return s.client.List(ctx, &v1alpha1.CanaryRolloutList{}, client.InNamespace(namespace), client.Limit(1))
	}
	if ptr.Deref(s.Config.Namespace, "") == "" {
		err := probe("")
		if s.isInCluster || !apierrors.IsForbidden(err) {
			return s.explain(ctx, "", err)
		}
		options.Notice = fmt.Sprintf("You may not list the rollouts of all namespaces, so this page shows those of namespace %s.", s.namespace)
	}
	options.Namespaces = strings.Split(s.namespace, ",")
	for _, namespace := range options.Namespaces {
		if problems := validation.IsDNS1123Label(namespace); len(problems) > 0 {
			return fmt.Errorf("%q is not the name of a namespace: write names separated by commas, without spaces, as in -n shop,books", namespace)
		}
		if err := probe(namespace); err != nil {
			return s.explain(ctx, "", err)
		}
	}
	return nil
}
