// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

package convert

import (
	"cmp"
	"fmt"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/canaryrollout/canaryrollout/api/v1alpha1"
	"github.com/canaryrollout/canaryrollout/cmd/kubectl-canary/lint"
)

// The API groups that are converted.
const (
	groupArgo    = "argoproj.io"
	groupFlagger = "flagger.app"
)

// Options are what the sources do not say.
type Options struct {
	// Gateway is NAME or NAMESPACE/NAME of the Gateway for routes that are proposed. Empty is a placeholder that the user replaces.
	Gateway string
}

// Result is what the sources become.
type Result struct {
	// Objects are those of the sources in their order. A converted object is replaced, new ones follow it, and others are copied.
	Objects []Object
	// Report says what is lost, in the order of the sources.
	Report []Entry
	// Converted counts the objects that were converted, or should have been.
	Converted int
}

// Object is an object of the result.
type Object struct {
	Kind, Namespace, Name string
	root                  *yaml.Node
}

// YAML formats the object.
func (o Object) YAML() ([]byte, error) { return encode(o.root) }

// FileName is a name for a file with this object.
func (o Object) FileName() string {
	name := strings.ToLower(o.Kind) + "-" + o.Name + ".yaml"
	if o.Namespace != "" {
		name = o.Namespace + "_" + name
	}
	return strings.NewReplacer("/", "-", `\`, "-", ":", "-").Replace(name)
}

// converter holds what the conversions of several objects share.
type converter struct {
	report
	options Options
	objects []*object
	// results are the objects that replace one of the input, or that follow it.
	results map[*object][]*yaml.Node
	// templates are the AnalysisTemplates and MetricTemplates that have been converted.
	templates []*template
	// providers are the names that providers get, by their addresses.
	providers map[string]string
	converted int
}

// Convert converts the objects of all sources.
func Convert(sources []lint.Source, options Options) Result {
	c := &converter{options: options, results: map[*object][]*yaml.Node{}, providers: map[string]string{}}
	c.objects = parse(sources, &c.report)
	for _, o := range c.objects { // rollouts refer to them
		c.convertTemplate(o)
	}
	for _, o := range c.objects {
		c.convertObject(o)
	}
	c.reportUnused()
	return Result{Objects: c.collect(), Report: c.sorted(), Converted: c.converted}
}

func (c *converter) convertTemplate(o *object) {
	switch {
	case o.group == groupArgo && (o.kind == "AnalysisTemplate" || o.kind == "ClusterAnalysisTemplate"):
		c.count(o, "v1alpha1")
		c.analysisTemplate(o)
	case o.group == groupFlagger && o.kind == "MetricTemplate":
		c.count(o, "v1beta1")
		c.metricTemplate(o)
	}
}

func (c *converter) convertObject(o *object) {
	switch {
	case o.group == groupArgo && o.kind == "Rollout":
		c.count(o, "v1alpha1")
		c.argoRollout(o)
	case o.group == groupFlagger && o.kind == "Canary":
		c.count(o, "v1beta1")
		c.flaggerCanary(o)
	case o.group == groupArgo && (o.kind == "Experiment" || o.kind == "AnalysisRun"):
		c.converted++
		c.drop(o)
		o.lose("", "there is no such object here", "use an analysis step; its state is in the status of the rollout")
	case o.group == groupFlagger && o.kind == "AlertProvider":
		c.converted++
		c.drop(o)
		o.lose("", lostNotifications.message, lostNotifications.instead)
	}
}

// count counts an object, and reports one of a version that is not known.
func (c *converter) count(o *object, version string) {
	c.converted++
	o.expectVersion(version)
}

// expectVersion reports an object of a version that may have other fields.
func (o *object) expectVersion(version string) {
	if given := text(get(o.root, "apiVersion")); given != o.group+"/"+version {
		o.lose("apiVersion", fmt.Sprintf("%s is read as %s", given, version), "compare the result with the object")
	}
}

// drop leaves an object out of the result.
func (c *converter) drop(o *object) { c.results[o] = []*yaml.Node{} }

// replace puts objects in the place of one of the input.
func (c *converter) replace(o *object, with ...*yaml.Node) {
	c.results[o] = append(c.results[o], with...)
}

// find looks up an object. One without a namespace gets that of the command that applies it, so it matches any. A Service is one of
// the core group: other groups have a kind of that name, too.
func (c *converter) find(kind, namespace, name string) *object {
	for _, o := range c.objects {
		if o.kind == kind && o.name == name && isSame(o.namespace, namespace) && (kind != "Service" || o.group == "") {
			return o
		}
	}
	return nil
}

func isSame(namespace, other string) bool {
	return namespace == other || namespace == "" || other == ""
}

// collect returns the result in the order of the input.
func (c *converter) collect() (result []Object) {
	known := map[string]bool{}
	for _, o := range c.objects {
		roots, isReplaced := c.results[o]
		if !isReplaced {
			roots = []*yaml.Node{o.root}
		}
		for _, root := range roots {
			added := Object{
				Kind: text(get(root, "kind")), root: root,
				Namespace: text(get(root, "metadata", "namespace")), Name: text(get(root, "metadata", "name")),
			}
			group, _, _ := strings.Cut(text(get(root, "apiVersion")), "/")
			id := strings.Join([]string{group, added.Kind, added.Namespace, added.Name}, "/")
			if known[id] && added.Name != "" {
				o.fail("metadata.name", fmt.Sprintf("%s %s would be there twice", added.Kind, added.Name), "rename or remove one of the objects")
				continue
			}
			known[id] = true
			result = append(result, added)
		}
	}
	return result
}

// rebuild returns an object of ours in place of one of the input, with its metadata and comments.
func rebuild(o *object, kind string, spec *yaml.Node) *yaml.Node {
	root := mapping()
	root.HeadComment, root.FootComment = o.root.HeadComment, o.root.FootComment
	values := map[string]*yaml.Node{
		"apiVersion": scalar(v1alpha1.GroupVersion.String()), "kind": scalar(kind), "metadata": mapping(), "spec": spec,
	}
	metadata.walk(values["metadata"], o.at("metadata"))
	for _, f := range o.at().children() {
		switch value := values[f.key.Value]; {
		case value != nil:
			root.Content = append(root.Content, f.key, value)
		case f.key.Value == "status":
			f.unneeded("the status is that of the cluster, and is not converted", "")
		default:
			f.lost("this field is unknown here, so it is left out", "check whether it is misspelled")
		}
	}
	return root
}

// keep carries a field over as it is.
func keep(target *yaml.Node, f field) { target.Content = append(target.Content, f.key, f.value) }

var metadata = func() table[*yaml.Node] {
	server := unneeded("the API server sets this")
	return table[*yaml.Node]{
		carried: map[string]func(*yaml.Node, field){
			"name": keep, "namespace": keep, "labels": keep, "annotations": keepAnnotations,
		},
		dropped: map[string]verdict{
			"creationTimestamp": server, "deletionTimestamp": server, "generation": server, "managedFields": server,
			"resourceVersion": server, "selfLink": server, "uid": server,
			"finalizers":      unneeded("the operator sets its own finalizer"),
			"ownerReferences": lost("the owner is not carried over", "let the owner apply the CanaryRollout, or add ownerReferences"),
			"generateName":    lost("the name must be known, because Services and commands refer to it", "set metadata.name"),
		},
	}
}()

var lostNotifications = lost("nobody is notified", "name a sink of the administrator in spec.notifications: docs/notifications.md")

// keepAnnotations leaves out the annotations of the other tools.
func keepAnnotations(target *yaml.Node, f field) {
	kept := mapping()
	for _, a := range f.children() {
		switch name := a.key.Value; {
		case strings.HasPrefix(name, "notifications.argoproj.io/"):
			a.drop(lostNotifications)
		case strings.Contains(name, "rollout.argoproj.io/"), strings.Contains(name, "rollouts.argoproj.io/"), strings.Contains(name, "flagger.app/"):
			a.unneeded("only the other tool reads this annotation", "")
		case name == "kubectl.kubernetes.io/last-applied-configuration":
			a.unneeded("kubectl sets this", "")
		default:
			keep(kept, a)
		}
	}
	if len(kept.Content) > 0 {
		target.Content = append(target.Content, f.key, kept)
	}
}

// redirect points the autoscalers of a workload to its CanaryRollout.
func (c *converter) redirect(r *rollout, kind, name string) {
	for _, o := range c.objects {
		target := o.at("spec", "scaleTargetRef")
		if target.value == nil || !isSame(o.namespace, r.namespace) || text(get(target.value, "kind")) != kind || text(get(target.value, "name")) != name {
			continue
		}
		set(target.value, "apiVersion", v1alpha1.GroupVersion.String())
		set(target.value, "kind", "CanaryRollout")
		set(target.value, "name", r.name)
		target.unneeded(fmt.Sprintf("it scales CanaryRollout %s now, in place of %s %s", r.name, kind, name), "")
	}
}

// gateway returns the parent of a proposed route.
func (c *converter) gateway() *yaml.Node {
	namespace, name, isQualified := strings.Cut(c.options.Gateway, "/")
	if !isQualified {
		namespace, name = "", namespace
	}
	parent := mapping("group", "gateway.networking.k8s.io", "kind", "Gateway", "name", cmp.Or(name, "gateway"))
	if namespace != "" {
		set(parent, "namespace", namespace)
	}
	if name == "" {
		get(parent, "name").LineComment = "# replace this with the name of your Gateway"
	}
	return parent
}
