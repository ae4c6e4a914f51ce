// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/term"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/cli-runtime/pkg/genericclioptions"
	"k8s.io/cli-runtime/pkg/genericiooptions"
	"k8s.io/client-go/rest"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/canaryrollout/canaryrollout/api/v1alpha1"
	"github.com/canaryrollout/canaryrollout/cmd/kubectl-canary/view"
)

// Options are shared by all commands.
type Options struct {
	// IOStreams write only what is safe in a terminal.
	genericiooptions.IOStreams
	// Config holds kubectl's connection flags.
	Config *genericclioptions.ConfigFlags
	// Now is the clock.
	Now func() time.Time
	// NewClient creates the client.
	NewClient func() (client.WithWatch, error)
	// Size returns the size of the terminal; ok is false if the output is not a terminal.
	Size func() (width, height int, ok bool)

	noColor bool
	// isInCluster takes the service account of the pod where no kubeconfig is given: never that of a user by mistake.
	isInCluster bool
}

// NewOptions returns the options for use in a terminal. Everything that commands print goes through these streams, so
// only this function has to make them safe.
func NewOptions(streams genericiooptions.IOStreams) *Options {
	streams.Out, streams.ErrOut = safeWriter{streams.Out}, safeWriter{streams.ErrOut}
	o := &Options{IOStreams: streams, Config: genericclioptions.NewConfigFlags(true), Now: time.Now}
	o.NewClient, o.Size = o.connect, o.size
	return o
}

// NewScheme returns a scheme with the types that the commands read.
func NewScheme() (*runtime.Scheme, error) {
	scheme := runtime.NewScheme()
	return scheme, errors.Join(v1alpha1.AddToScheme(scheme), appsv1.AddToScheme(scheme), corev1.AddToScheme(scheme))
}

// connect creates a client without API discovery: the kinds are few and known, and each request would delay the first
// line of output.
func (o *Options) connect() (client.WithWatch, error) {
	config, err := o.restConfig()
	if err != nil {
		return nil, err
	}
	scheme, err := NewScheme()
	if err != nil {
		return nil, err
	}
	mapper := meta.NewDefaultRESTMapper(nil)
	mapper.Add(v1alpha1.GroupVersion.WithKind("CanaryRollout"), meta.RESTScopeNamespace)
	mapper.Add(appsv1.SchemeGroupVersion.WithKind("ReplicaSet"), meta.RESTScopeNamespace)
	mapper.Add(corev1.SchemeGroupVersion.WithKind("Pod"), meta.RESTScopeNamespace)
	mapper.Add(corev1.SchemeGroupVersion.WithKind("Event"), meta.RESTScopeNamespace)
	mapper.Add(corev1.SchemeGroupVersion.WithKind("Namespace"), meta.RESTScopeRoot)
	return client.NewWithWatch(config, client.Options{Scheme: scheme, Mapper: mapper})
}

// restConfig returns the connection to the API server. Its warnings go to stderr.
func (o *Options) restConfig() (*rest.Config, error) {
	find := o.Config.ToRESTConfig
	if o.isInCluster && ptr.Deref(o.Config.KubeConfig, "") == "" {
		find = rest.InClusterConfig
	}
	config, err := find()
	if err != nil {
		return nil, fmt.Errorf("find the API server: %w", err)
	}
	config.QPS, config.Burst = 50, 100
	config.WarningHandler = rest.NewWarningWriter(o.ErrOut, rest.WarningWriterOptions{Deduplicate: true})
	return config, nil
}

// namespace returns the namespace from the flags, or of the current context.
func (o *Options) namespace() (string, error) {
	namespace, _, err := o.Config.ToRawKubeConfigLoader().Namespace()
	return namespace, err
}

// flags returns the connection flags that a command in the output needs, so that it can be copied.
func (o *Options) flags() string {
	var text strings.Builder
	for _, flag := range []struct {
		name  string
		value *string
	}{{"-n", o.Config.Namespace}, {"--context", o.Config.Context}, {"--kubeconfig", o.Config.KubeConfig}} {
		if flag.value != nil && *flag.value != "" {
			text.WriteString(" " + flag.name + " " + *flag.value)
		}
	}
	return text.String()
}

// size returns the current size of the terminal, because a window may be resized.
func (o *Options) size() (width, height int, ok bool) {
	file, isFile := o.raw().(*os.File)
	if !isFile || !term.IsTerminal(int(file.Fd())) {
		return 0, 0, false
	}
	if width, height, err := term.GetSize(int(file.Fd())); err == nil && width > 0 && height > 0 {
		return width, height, true
	}
	return 80, 24, true
}

// style returns what the output can display.
func (o *Options) style() view.Style {
	width, _, isTerminal := o.Size()
	return view.Style{
		Rich:  isTerminal && !o.noColor && os.Getenv("NO_COLOR") == "" && os.Getenv("TERM") != "dumb",
		Width: width,
	}
}

func (o *Options) print(text string) error {
	_, err := fmt.Fprint(o.Out, text)
	return err
}

// control prints terminal control sequences.
func (o *Options) control(text string) error {
	_, err := fmt.Fprint(o.raw(), text)
	return err
}

// data is the writer for JSON, YAML and other output for programs: unchanged, unless it is shown in a terminal.
func (o *Options) data() io.Writer {
	if _, _, isTerminal := o.Size(); isTerminal {
		return o.Out
	}
	return o.raw()
}

// raw is the unprotected output.
func (o *Options) raw() io.Writer {
	if out, isSafe := o.Out.(safeWriter); isSafe {
		return out.Writer
	}
	return o.Out
}

// session is a connection for one namespace.
type session struct {
	*Options
	client    client.WithWatch
	namespace string
}

func (o *Options) open() (*session, error) {
	namespace, err := o.namespace()
	if err != nil {
		return nil, fmt.Errorf("find the namespace: %w", err)
	}
	c, err := o.NewClient()
	return &session{Options: o, client: c, namespace: namespace}, err
}

// withSession passes a session and the name of a rollout to a command.
func (o *Options) withSession(run func(*cobra.Command, *session, string) error) func(*cobra.Command, []string) error {
	return func(command *cobra.Command, args []string) error {
		s, err := o.open()
		if err != nil {
			return err
		}
		return run(command, s, nameOf(args[0]))
	}
}
