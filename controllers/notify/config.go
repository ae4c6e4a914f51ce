// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

package notify

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"net/url"
	"os"
	"path/filepath"
	"slices"

	"k8s.io/apimachinery/pkg/util/validation"

	"github.com/canaryrollout/canaryrollout/api/v1alpha1"
	"github.com/canaryrollout/canaryrollout/controllers/endpoint"
	"github.com/canaryrollout/canaryrollout/controllers/plan"
)

// maxDefaults is how many sinks may be defaults. A rollout has room for as many.
const maxDefaults = 10

// sinkConfig is an entry of the file of sinks.
type sinkConfig struct {
	endpoint.Config `yaml:",inline"`
	// CloudEvents and Slack are its kind: exactly one is set.
	CloudEvents *receiverConfig `yaml:"cloudEvents"`
	Slack       *receiverConfig `yaml:"slack"`
	// SigningKeyFile is a file with the key of the signature; no request is signed if it is empty.
	SigningKeyFile string `yaml:"signingKeyFile"`
	// Default is set if rollouts that name no sink have this one.
	Default bool `yaml:"default"`
	// Namespaces are those of the rollouts that have the sink by default; all if there are none.
	Namespaces []string `yaml:"namespaces"`
	// Transitions are those that the sink gets as a default; all if there are none.
	Transitions []v1alpha1.Transition `yaml:"transitions"`
}

// receiverConfig says where to send requests: exactly one is set.
type receiverConfig struct {
	URL string `yaml:"url"`
	// URLFile is a file with the URL. One that has a token is a secret.
	URLFile string `yaml:"urlFile"`
}

// Sinks are the sinks that the administrator has named.
type Sinks struct{ byName map[string]*sink }

// LoadSinks reads the file of sinks: a list in YAML. Relative names of files in it are relative to its directory.
func LoadSinks(file string) (Sinks, error) {
	content, err := os.ReadFile(file)
	if err != nil {
		return Sinks{}, err
	}
	sinks, err := parseSinks(content, filepath.Dir(file))
	if err != nil {
		return Sinks{}, fmt.Errorf("%s: %w", file, err)
	}
	return sinks, nil
}

func parseSinks(content []byte, directory string) (Sinks, error) {
	sinks, defaults := Sinks{byName: map[string]*sink{}}, 0
	err := endpoint.Parse(content, "sink", func(c sinkConfig) (err error) {
		if c.Default {
			defaults++
		}
		sinks.byName[c.Name], err = newSink(c, directory)
		return err
	})
	if err == nil && defaults > maxDefaults {
		err = fmt.Errorf("%d sinks are defaults: the limit is %d", defaults, maxDefaults)
	}
	return sinks, err
}

func newSink(c sinkConfig, directory string) (*sink, error) {
	if err := c.validate(); err != nil {
		return nil, err
	}
	receiver := cmp.Or(c.CloudEvents, c.Slack)
	e, err := endpoint.New(c.Config, directory)
	if err != nil {
		return nil, err
	}
	s := &sink{Endpoint: e, config: c, urlFile: in(directory, receiver.URLFile), keyFile: in(directory, c.SigningKeyFile)}
	if receiver.URLFile == "" {
		s.url, err = endpoint.ParseURL("url", receiver.URL)
	}
	if err != nil {
		return nil, err
	}
	// A file that is missing or wrong now is a mistake, and one that becomes so later may be a rotation.
	if _, err := s.address(); err != nil {
		return nil, err
	}
	if _, err := s.key(); err != nil {
		return nil, err
	}
	return s, nil
}

func (c *sinkConfig) validate() error {
	receiver := cmp.Or(c.CloudEvents, c.Slack)
	switch {
	case (c.CloudEvents == nil) == (c.Slack == nil):
		return errors.New("it must have exactly one of cloudEvents and slack")
	case (receiver.URL == "") == (receiver.URLFile == ""):
		return errors.New("it must have exactly one of url and urlFile")
	case !c.Default && len(c.Namespaces)+len(c.Transitions) > 0:
		return errors.New("namespaces and transitions are for a default: set default to true, or remove them")
	}
	for _, namespace := range c.Namespaces {
		if problems := validation.IsDNS1123Label(namespace); len(problems) > 0 {
			return fmt.Errorf("namespaces has %q: %s", namespace, problems[0])
		}
	}
	for _, transition := range c.Transitions {
		if !plan.IsTransition(transition) {
			return fmt.Errorf("transitions has %q: there is no such transition", transition)
		}
	}
	return nil
}

// in returns the name of a file that may be relative to a directory.
func in(directory, file string) string {
	if file == "" || filepath.IsAbs(file) {
		return file
	}
	return filepath.Join(directory, file)
}

// known returns the sinks as plans see them, in each namespace that has a default of its own and, by the name "", in all others.
func (s Sinks) known() map[string][]plan.Sink {
	known := map[string][]plan.Sink{}
	if len(s.byName) == 0 {
		return known
	}
	namespaces := []string{""}
	for _, sink := range s.byName {
		namespaces = append(namespaces, sink.config.Namespaces...)
	}
	for _, namespace := range namespaces {
		var all []plan.Sink
		for _, name := range slices.Sorted(maps.Keys(s.byName)) {
			c := &s.byName[name].config
			isDefault := c.Default && (len(c.Namespaces) == 0 || slices.Contains(c.Namespaces, namespace))
			all = append(all, plan.Sink{Name: name, IsDefault: isDefault, Transitions: c.Transitions})
		}
		known[namespace] = all
	}
	return known
}

// parseAddress parses the content of a file with a URL, which errors do not repeat.
func parseAddress(content string) (*url.URL, error) {
	at, err := endpoint.ParseSecretURL(content)
	if err != nil {
		return nil, fmt.Errorf("the content of urlFile %w", err)
	}
	return at, nil
}
