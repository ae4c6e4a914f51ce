// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/dynamic"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/yaml"

	"github.com/canaryrollout/canaryrollout/api/v1alpha1"
	"github.com/canaryrollout/canaryrollout/cmd/kubectl-canary/lint"
	"github.com/canaryrollout/canaryrollout/cmd/kubectl-canary/source"
	"github.com/canaryrollout/canaryrollout/cmd/kubectl-canary/table"
	"github.com/canaryrollout/canaryrollout/controllers/forecast"
)

// planOptions holds the flags of plan.
type planOptions struct {
	*Options
	files    source.Files
	output   string
	forecast forecast.Options
}

// NewPlanCommand returns the command `kubectl canary plan`.
func NewPlanCommand(options *Options) *cobra.Command {
	o := &planOptions{Options: options}
	command := &cobra.Command{
		Use:   "plan NAME | -f FILE...",
		Short: "Show what a release will do, before it does it",
		Long: `Show the stages of a release with their pods, weights and times, and the risks in its steps. They come from the planner
of the operator, run offline in a world without problems: pods become ready in time, gateways accept immediately, and
users promote without delay.

With NAME, it shows the rest of the release in flight, or the next release. With -f, it shows the next release of the
rollout in the file, and needs no cluster.`,
		Example: `  kubectl canary plan reviews
  kubectl canary plan -f deploy/reviews.yaml --pod-ready 20s
  kubectl kustomize deploy | kubectl canary plan -f - -o json`,
		ValidArgsFunction: o.completeRollouts,
		RunE: func(command *cobra.Command, args []string) error {
			if err := o.check(args); err != nil {
				return err
			}
			command.SilenceUsage = true
			return o.run(command.Context(), args)
		},
	}
	o.files.AddFlags(command)
	command.Flags().StringVarP(&o.output, "output", "o", "text", "text, json or yaml.")
	command.Flags().DurationVar(&o.forecast.PodReady, "pod-ready", 0, "How long a pod takes to become ready, without minReadySeconds.")
	command.Flags().BoolVar(&o.forecast.FirstDeploy, "first-deploy", false, "With -f: the rollout does not exist yet.")
	return command
}

func (o *planOptions) check(args []string) error {
	switch hasFiles := len(o.files.Names) > 0; {
	case len(args) > 1, len(args) == 1 && hasFiles, len(args) == 0 && !hasFiles:
		return errors.New("name one rollout, or give its file with -f")
	case o.forecast.FirstDeploy && !hasFiles:
		return errors.New("--first-deploy is for -f: a rollout in the cluster says itself whether it was deployed")
	case o.forecast.PodReady < 0 || o.forecast.PodReady > 24*time.Hour:
		return errors.New("--pod-ready must be from 0s to 24h, for example 20s")
	case o.output != "text" && o.output != "json" && o.output != "yaml":
		return fmt.Errorf("-o %s is not known: text, json and yaml are", o.output)
	}
	return nil
}

func (o *planOptions) run(ctx context.Context, args []string) error {
	if len(args) == 1 {
		rollout, err := o.get(ctx, args[0])
		if err != nil {
			return err
		}
		return o.printAll([]table.Rollout{o.forecastRollout(rollout)})
	}
	manifests, err := o.read(ctx)
	if err != nil {
		return err
	}
	var all []table.Rollout
	for _, rollout := range manifests.Rollouts {
		options := o.forecast
		options.Metric = manifests.Metric(rollout)
		all = append(all, table.Rollout{
			Namespace: rollout.Namespace, Name: rollout.Name, Forecast: forecast.Release(rollout.CanaryRollout, options),
		})
	}
	return o.printAll(all)
}

// read reads the rollouts from the files. It fails if the API server would reject one.
func (o *planOptions) read(ctx context.Context) (*lint.Manifests, error) {
	sources, err := o.files.Read(o.In)
	if err != nil {
		return nil, err
	}
	manifests, found, err := lint.Read(ctx, sources, ptr.Deref(o.Config.Namespace, ""))
	if err != nil {
		return nil, err
	}
	var lines []string
	for _, finding := range found {
		if finding.Severity == lint.Error {
			lines = append(lines, finding.String())
		}
	}
	if len(lines) > 0 {
		return nil, fmt.Errorf("these files would be refused:\n%s", strings.Join(lines, "\n"))
	}
	if err := o.warn(append(found, manifests.Check()...)); err != nil {
		return nil, err
	}
	if len(manifests.Rollouts) == 0 {
		return nil, errors.New("there is no CanaryRollout in these files")
	}
	return manifests, nil
}

// warn prints to stderr what would stop the release, and which objects the plan ignores. The plan itself has the risks.
func (o *planOptions) warn(found []lint.Finding) error {
	for _, finding := range found {
		if finding.Severity == lint.Error || finding.ID == lint.IDForeign {
			if _, err := fmt.Fprintln(o.ErrOut, finding); err != nil {
				return err
			}
		}
	}
	return nil
}

// get reads a rollout from the cluster.
func (o *planOptions) get(ctx context.Context, name string) (*v1alpha1.CanaryRollout, error) {
	config, err := o.restConfig()
	if err != nil {
		return nil, err
	}
	namespace, err := o.namespace()
	if err != nil {
		return nil, err
	}
	client, err := dynamic.NewForConfig(config)
	if err != nil {
		return nil, err
	}
	name = name[strings.LastIndex(name, "/")+1:]
	object, err := client.Resource(v1alpha1.GroupVersion.WithResource("canaryrollouts")).Namespace(namespace).Get(ctx, name, metav1.GetOptions{})
	switch {
	case apierrors.IsNotFound(err):
		return nil, fmt.Errorf("there is no CanaryRollout %s in namespace %s; kubectl get canaryrollouts -A lists all", name, namespace)
	case err != nil:
		return nil, err
	case object.GetDeletionTimestamp() != nil:
		return nil, fmt.Errorf("CanaryRollout %s is being deleted: there will be no release", name)
	}
	rollout := &v1alpha1.CanaryRollout{}
	return rollout, runtime.DefaultUnstructuredConverter.FromUnstructured(object.Object, rollout)
}

// forecastRollout forecasts the release of a rollout in the cluster.
func (o *planOptions) forecastRollout(rollout *v1alpha1.CanaryRollout) table.Rollout {
	result := table.Rollout{Namespace: rollout.Namespace, Name: rollout.Name}
	options := o.forecast
	if forecast.IsInFlight(rollout) {
		result.Revision = rollout.Status.Memory.CurrentRevision
		result.Forecast = forecast.Remaining(rollout, options, o.Now())
		return result
	}
	options.FirstDeploy = rollout.Status.Memory == nil
	result.Forecast = forecast.Release(rollout, options)
	return result
}

func (o *planOptions) printAll(rollouts []table.Rollout) (err error) {
	var content []byte
	switch o.output {
	case "json":
		content, err = json.MarshalIndent(rollouts, "", "  ")
		content = append(content, '\n')
	case "yaml":
		content, err = yaml.Marshal(rollouts)
	default:
		var texts []string
		for _, rollout := range rollouts {
			texts = append(texts, rollout.Text(o.forecast.PodReady))
		}
		return o.print(strings.Join(texts, "\n"))
	}
	if err != nil {
		return err
	}
	_, err = o.data().Write(content)
	return err
}
