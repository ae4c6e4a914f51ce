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
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/canaryrollout/canaryrollout/api/v1alpha1"
	"github.com/canaryrollout/canaryrollout/cmd/kubectl-canary/view"
)

// Options are what all commands share.
type Options struct {
	// IOStreams write what is safe in a terminal.
	genericiooptions.IOStreams
	// Config are the connection flags of kubectl.
	Config *genericclioptions.ConfigFlags
	// Now is the clock.
	Now func() time.Time
	// NewClient makes the client.
	NewClient func() (client.WithWatch, error)
	// Size is that of the terminal that the output is; not ok when it is none.
	Size func() (width, height int, ok bool)

	noColor bool
}

// NewOptions are those of a program in a terminal. Everything that commands print goes through these streams, so this is
// the one place that makes them safe.
func NewOptions(streams genericiooptions.IOStreams) *Options {
	streams.Out, streams.ErrOut = safeWriter{streams.Out}, safeWriter{streams.ErrOut}
	o := &Options{IOStreams: streams, Config: genericclioptions.NewConfigFlags(true), Now: time.Now}
	o.NewClient, o.Size = o.connect, o.size
	return o
}

// NewScheme knows what the commands read.
func NewScheme() (*runtime.Scheme, error) {
	scheme := runtime.NewScheme()
	return scheme, errors.Join(v1alpha1.AddToScheme(scheme), appsv1.AddToScheme(scheme), corev1.AddToScheme(scheme))
}

// connect makes a client without asking the API server what it serves: the kinds are few and known, and each question
// would cost time before the first line is on the screen.
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
	mapper.Add(corev1.SchemeGroupVersion.WithKind("Namespace"), meta.RESTScopeRoot)
	return client.NewWithWatch(config, client.Options{Scheme: scheme, Mapper: mapper})
}

// restConfig says how to reach the API server. Its warnings go to the error stream.
func (o *Options) restConfig() (*rest.Config, error) {
	config, err := o.Config.ToRESTConfig()
	if err != nil {
		return nil, fmt.Errorf("find the API server: %w", err)
	}
	config.QPS, config.Burst = 50, 100
	config.WarningHandler = rest.NewWarningWriter(o.ErrOut, rest.WarningWriterOptions{Deduplicate: true})
	return config, nil
}

// namespace is that of the flags, or of the current context.
func (o *Options) namespace() (string, error) {
	namespace, _, err := o.Config.ToRawKubeConfigLoader().Namespace()
	return namespace, err
}

// flags are the connection flags that a command in the output needs, so that it can be copied.
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

// size is that of the terminal by now: a window may change.
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

// style is what the output can show.
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

// control prints what a terminal obeys.
func (o *Options) control(text string) error {
	_, err := fmt.Fprint(o.raw(), text)
	return err
}

// data is where JSON and YAML go, and what else a program reads: unchanged, unless it is shown in a terminal.
func (o *Options) data() io.Writer {
	if _, _, isTerminal := o.Size(); isTerminal {
		return o.Out
	}
	return o.raw()
}

// raw is the output without protection.
func (o *Options) raw() io.Writer {
	if out, isSafe := o.Out.(safeWriter); isSafe {
		return out.Writer
	}
	return o.Out
}

// session is one connection, for one namespace.
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

// withSession gives a command its connection and the name of a rollout.
func (o *Options) withSession(run func(*cobra.Command, *session, string) error) func(*cobra.Command, []string) error {
	return func(command *cobra.Command, args []string) error {
		s, err := o.open()
		if err != nil {
			return err
		}
		return run(command, s, nameOf(args[0]))
	}
}
