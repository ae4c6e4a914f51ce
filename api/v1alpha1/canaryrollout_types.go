// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

package v1alpha1

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
)

// CanaryRollout runs the pods of a workload and releases each new version as a canary: step by step, it shifts the traffic
// of the user's own Gateway API routes from a stable to a canary Service.
//
// +kubebuilder:object:root=true
// +kubebuilder:subresource:status
// +kubebuilder:subresource:scale:specpath=.spec.replicas,statuspath=.status.replicas,selectorpath=.status.selector
// +kubebuilder:resource:shortName=cro,categories=all
// +kubebuilder:printcolumn:name="Status",type=string,JSONPath=`.status.state`
// +kubebuilder:printcolumn:name="Step",type=string,JSONPath=`.status.step`
// +kubebuilder:printcolumn:name="Weight",type=string,JSONPath=`.status.weight`
// +kubebuilder:printcolumn:name="Revision",type=string,JSONPath=`.status.revision`
// +kubebuilder:printcolumn:name="Ready",type=string,JSONPath=`.status.ready`
// +kubebuilder:printcolumn:name="Age",type=date,JSONPath=`.metadata.creationTimestamp`
// +kubebuilder:printcolumn:name="Message",type=string,priority=1,JSONPath=`.status.message`
// +kubebuilder:printcolumn:name="Images",type=string,priority=1,JSONPath=`.status.images`
// +kubebuilder:validation:XValidation:rule="self.metadata.name.size() <= 46",message="metadata.name must be at most 46 characters long: the names of its ReplicaSets and pods begin with it"
type CanaryRollout struct {
	metav1.TypeMeta `json:",inline"`

	// metadata is standard object metadata.
	// +optional
	metav1.ObjectMeta `json:"metadata,omitempty"`

	// spec is the desired state: the pods, the traffic that reaches them, and the steps of a release.
	// +required
	Spec CanaryRolloutSpec `json:"spec,omitzero"`

	// status is the observed state. Only the controller writes it.
	// +optional
	// +structType=atomic
	Status CanaryRolloutStatus `json:"status,omitempty"`
}

// CanaryRolloutList is a list of CanaryRollouts.
//
// +kubebuilder:object:root=true
type CanaryRolloutList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`

	Items []CanaryRollout `json:"items"`
}

// CanaryRolloutSpec is the desired state.
//
// +kubebuilder:validation:XValidation:rule="has(self.template.metadata) && has(self.template.metadata.labels) ? [self.template.metadata.labels].all(labels, [self.selector.matchLabels].all(wanted, wanted.all(k, k in labels && labels[k] == wanted[k]))) : self.selector.matchLabels.size() == 0",message="selector.matchLabels must be part of template.metadata.labels: add the same labels to the template"
// +kubebuilder:validation:XValidation:rule="!has(self.minReadySeconds) || !has(self.progressDeadlineSeconds) || self.minReadySeconds < self.progressDeadlineSeconds",message="progressDeadlineSeconds must be larger than minReadySeconds: no pod could become available in time"
// +kubebuilder:validation:XValidation:rule="!has(self.traffic.settleSeconds) || !has(self.progressDeadlineSeconds) || self.traffic.settleSeconds < self.progressDeadlineSeconds",message="progressDeadlineSeconds must be larger than traffic.settleSeconds: no weight could settle in time"
// +kubebuilder:validation:XValidation:rule="!has(self.traffic.routes) || self.traffic.routes.all(r, !has(r.kind) || !(r.kind in ['TCPRoute', 'TLSRoute'])) || !has(self.steps) || !self.steps.exists(s, has(s.setMirrorRoute))",message="a TCPRoute or a TLSRoute carries no requests that setMirrorRoute could copy: remove these steps, or remove these routes from traffic.routes"
// +kubebuilder:validation:XValidation:rule="!has(self.traffic.routes) || self.traffic.routes.all(r, !has(r.kind) || !(r.kind in ['TCPRoute', 'TLSRoute'])) || !has(self.steps) || !self.steps.exists(s, has(s.setHeaderRoute))",message="a TCPRoute or a TLSRoute has nothing that setHeaderRoute could match: remove these steps, or remove these routes from traffic.routes"
type CanaryRolloutSpec struct {
	// replicas is the number of pods of the stable revision when no release is in flight. The scale subresource reads and
	// writes it. When it is not set, the current number of pods is kept, also by an adoption, and a first deploy gets one
	// pod. The controller then writes that number here, because autoscalers must be able to read it.
	// +optional
	// +kubebuilder:validation:Minimum=0
	Replicas *int32 `json:"replicas,omitempty"`

	// selector selects the pods of this rollout. It is immutable and must match the template's labels.
	// +required
	// +kubebuilder:validation:XValidation:rule="self == oldSelf",message="selector is immutable: delete the rollout with --cascade=orphan and create it again to change it"
	Selector PodSelector `json:"selector,omitzero"`

	// template describes the pods: a PodTemplateSpec, as in a Deployment. Changing it starts a release. It is stored as
	// given and validated by a dry run of its ReplicaSet. For its fields see `kubectl explain deployment.spec.template`.
	// +required
	// +kubebuilder:pruning:PreserveUnknownFields
	// +kubebuilder:validation:XValidation:rule="has(self.spec) && self.spec.containers.size() > 0",message="template.spec.containers must have at least one container"
	// +kubebuilder:validation:XValidation:rule="!has(self.spec) || self.spec.containers.all(c, has(c.image) && c.image.size() > 0)",message="every container must have an image",fieldPath=".spec.containers"
	// +kubebuilder:validation:XValidation:rule="!has(self.spec) || !has(self.spec.initContainers) || self.spec.initContainers.all(c, has(c.image) && c.image.size() > 0)",message="every init container must have an image",fieldPath=".spec.initContainers"
	// +kubebuilder:validation:XValidation:rule="!has(self.spec) || !has(self.spec.restartPolicy) || self.spec.restartPolicy in ['', 'Always']",message="restartPolicy must be Always, the only one that a ReplicaSet allows: remove the field",fieldPath=".spec.restartPolicy"
	// +kubebuilder:validation:XValidation:rule="!has(self.spec) || !has(self.spec.activeDeadlineSeconds)",message="activeDeadlineSeconds is not allowed in a ReplicaSet: remove it",fieldPath=".spec.activeDeadlineSeconds"
	// +kubebuilder:validation:XValidation:rule="!has(self.spec) || !has(self.spec.ephemeralContainers) || self.spec.ephemeralContainers.size() == 0",message="ephemeralContainers are added to running pods, not to templates: remove them",fieldPath=".spec.ephemeralContainers"
	// +kubebuilder:validation:XValidation:rule="!has(self.metadata) || !has(self.metadata.labels) || !('pod-template-hash' in self.metadata.labels)",message="labels must not contain pod-template-hash: the controller adds it to tell revisions apart",fieldPath=".metadata.labels"
	// +kubebuilder:validation:XValidation:rule="!has(self.metadata) || !has(self.metadata.labels) || self.metadata.labels.all(k, k.matches('^([a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?/)?[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?$'))",message="the name of a label must be at most 63 letters, digits, '-', '_' and '.', beginning and ending with a letter or digit, with an optional DNS name and '/' before it",fieldPath=".metadata.labels"
	Template runtime.RawExtension `json:"template,omitzero"`

	// minReadySeconds is how long a pod must be ready before it counts as available, in seconds.
	// +optional
	// +default=0
	// +kubebuilder:validation:Minimum=0
	MinReadySeconds int32 `json:"minReadySeconds,omitempty"`

	// revisionHistoryLimit is how many ReplicaSets without pods are kept for a rollback, at most 100.
	// +optional
	// +default=10
	// +kubebuilder:validation:Minimum=0
	// +kubebuilder:validation:Maximum=100
	RevisionHistoryLimit *int32 `json:"revisionHistoryLimit,omitempty"`

	// progressDeadlineSeconds is how long a rollout may wait for pods or for a route before it is Degraded, in seconds since
	// its last progress. Pauses do not count.
	// +optional
	// +default=600
	// +kubebuilder:validation:Minimum=1
	ProgressDeadlineSeconds *int32 `json:"progressDeadlineSeconds,omitempty"`

	// progressDeadlineAbort aborts a release whose progress deadline has passed.
	// +optional
	ProgressDeadlineAbort bool `json:"progressDeadlineAbort,omitempty"`

	// scaleDownDelaySeconds is how long a revision keeps its pods after all traffic has left it, in seconds.
	// +optional
	// +default=30
	// +kubebuilder:validation:Minimum=0
	ScaleDownDelaySeconds *int32 `json:"scaleDownDelaySeconds,omitempty"`

	// paused stops steps and promotion where they are. Overwritten Services and routes are still restored, and abort, scaling
	// and deletion still work.
	// +optional
	Paused bool `json:"paused,omitempty"`

	// traffic names the user's Services and routes. All are in the rollout's namespace.
	// +required
	Traffic Traffic `json:"traffic,omitzero"`

	// steps are carried out in order for each new template, which is then promoted. Without steps, a new template is promoted
	// as soon as its pods are available. The first deploy skips the steps.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=64
	// +kubebuilder:validation:XValidation:rule="self.all(s, !has(s.setHeaderRoute) || (has(s.setHeaderRoute.matches) && s.setHeaderRoute.matches.size() > 0) || self.exists(o, has(o.setHeaderRoute) && has(o.setHeaderRoute.matches) && o.setHeaderRoute.matches.size() > 0 && o.setHeaderRoute.name == s.setHeaderRoute.name))",message="setHeaderRoute without matches removes the header route of its name, but no step creates one of that name: add matches, or correct the name"
	Steps []Step `json:"steps,omitempty"`

	// analysis judges each release by metrics while its steps run. The first deploy has no analysis: there is nothing to
	// return to.
	// +optional
	Analysis *Analysis `json:"analysis,omitempty"`

	// bake keeps the former revision at full size for some time at the end of a promotion, when the new one has all traffic, so that
	// the release can still be rolled back at once.
	// +optional
	Bake *Bake `json:"bake,omitempty"`

	// notifications send the transitions of this rollout to sinks that the administrator of the operator has named. Without any,
	// the rollout has the default sinks of its namespace, if the administrator has named some.
	// +optional
	// +listType=map
	// +listMapKey=sink
	// +kubebuilder:validation:MaxItems=10
	Notifications []Notification `json:"notifications,omitempty"`
}

// PodSelector selects pods by labels.
type PodSelector struct {
	// matchLabels are the labels that every pod of this rollout has. The label pod-template-hash is reserved for the
	// controller.
	// +required
	// +kubebuilder:validation:MinProperties=1
	// +kubebuilder:validation:MaxProperties=16
	// +kubebuilder:validation:XValidation:rule="!('pod-template-hash' in self)",message="matchLabels must not contain pod-template-hash: the controller adds it to tell revisions apart"
	MatchLabels map[string]string `json:"matchLabels,omitempty"`
}

// Traffic names the Services and routes that carry the workload's traffic.
//
// +kubebuilder:validation:XValidation:rule="self.stableService != self.canaryService",message="stableService and canaryService must be two different Services"
type Traffic struct {
	// stableService is the name of the Service of the stable revision. It gets the traffic that the canary does not get.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=63
	// +kubebuilder:validation:XValidation:rule="self.matches('^[a-z]([-a-z0-9]*[a-z0-9])?$')",message="must be the name of a Service: lower case letters, digits and dashes, beginning with a letter"
	StableService string `json:"stableService,omitempty"`

	// canaryService is the name of the Service of the canary. It gets the canary's share.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=63
	// +kubebuilder:validation:XValidation:rule="self.matches('^[a-z]([-a-z0-9]*[a-z0-9])?$')",message="must be the name of a Service: lower case letters, digits and dashes, beginning with a letter"
	CanaryService string `json:"canaryService,omitempty"`

	// routes are the routes whose weights are set. A step is done when all of them are verified to carry its weight.
	// +required
	// +listType=map
	// +listMapKey=kind
	// +listMapKey=name
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=16
	Routes []RouteReference `json:"routes,omitempty"`

	// otherEndpoints says what to do when the controller is about to narrow a Service to the pods of this rollout for the
	// first time, because of an adoption or a changed name, and the Service also has ready endpoints of other workloads. Hold
	// leaves the Service as it is, and the rollout is Degraded with the reason ServiceShared. Remove removes those endpoints
	// from the Service. A first deploy always replaces what served before.
	// +optional
	// +default="Hold"
	OtherEndpoints OtherEndpointsAction `json:"otherEndpoints,omitempty"`

	// settleSeconds is how long the data plane may lag behind its reported status. The controller waits this many seconds
	// before it relies on a verified weight, and before it sends traffic to a Service that it has moved.
	// +optional
	// +default=5
	// +kubebuilder:validation:Minimum=0
	// +kubebuilder:validation:Maximum=3600
	SettleSeconds *int32 `json:"settleSeconds,omitempty"`

	// verifyTimeoutSeconds is how long a weight may wait to be verified before onVerifyTimeout applies, in seconds since it
	// was requested, or since a gateway withdrew its acceptance. A gateway that never reports an observedGeneration gets at
	// least 30 seconds.
	// +optional
	// +default=60
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=86400
	VerifyTimeoutSeconds *int32 `json:"verifyTimeoutSeconds,omitempty"`

	// probe additionally measures each weight: the controller sends its own requests through the Gateway, and the weight is
	// verified when the responses are split accordingly. Without a probe, the status that gateways report and settleSeconds
	// must suffice.
	// +optional
	Probe *Probe `json:"probe,omitempty"`

	// onVerifyTimeout says what to do when a weight was not verified in time. Hold keeps waiting, and the rollout is Degraded
	// meanwhile. Abort aborts the release.
	// +optional
	// +default="Hold"
	OnVerifyTimeout VerifyTimeoutAction `json:"onVerifyTimeout,omitempty"`
}

// Probe says how a weight is measured: with GET requests to one URL, in samples of 100 at 50 per second, until the canary's
// share lies within the 99 % confidence interval of the weight. Each change of the weight is measured once.
type Probe struct {
	// url is the URL of a rule with both Services, through the Gateway as the controller reaches it, for example
	// http://gateway.infra.svc/reviews. Requests to it must not match a header route. The controller's flag --probe-allow
	// lists the hosts and networks that are allowed; there are none by default.
	// +required
	// +kubebuilder:validation:MinLength=8
	// +kubebuilder:validation:MaxLength=2048
	// +kubebuilder:validation:XValidation:rule="isURL(self) && self.matches('^https?://[^/]')",message="must be the URL of a page, for example http://gateway.infra.svc/reviews"
	// +kubebuilder:validation:XValidation:rule="!self.matches('^https?://[^/?#]*@')",message="must not contain a user or a password: remove them"
	URL string `json:"url,omitempty"`

	// host is the host that the request names, and for which a certificate must be valid. It defaults to the host in url.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	// +kubebuilder:validation:XValidation:rule="self.matches('^[a-z0-9]([-a-z0-9]*[a-z0-9])?([.][a-z0-9]([-a-z0-9]*[a-z0-9])?)*$')",message="must be the name of a host: lower case letters, digits, dashes and dots"
	Host string `json:"host,omitempty"`

	// revisionHeader is the response header in which a pod reports the value of its label pod-template-hash. A container can
	// read the value through the downward API.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=256
	// +kubebuilder:validation:XValidation:rule="self.matches('^[A-Za-z0-9-]+$')",message="must be the name of a header: letters, digits and dashes"
	RevisionHeader string `json:"revisionHeader,omitempty"`

	// caBundle holds, in PEM, the CA certificates that are trusted for an https url. The public CAs are trusted by default.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=65536
	// +kubebuilder:validation:XValidation:rule="self.contains('-----BEGIN CERTIFICATE-----')",message="must contain certificates in PEM"
	CABundle string `json:"caBundle,omitempty"`
}

// OtherEndpointsAction says what to do with the endpoints of other workloads in a Service.
//
// +kubebuilder:validation:Enum=Hold;Remove
type OtherEndpointsAction string

const (
	// OtherEndpointsHold leaves the Service as it is.
	OtherEndpointsHold OtherEndpointsAction = "Hold"
	// OtherEndpointsRemove narrows the Service, which removes them from it.
	OtherEndpointsRemove OtherEndpointsAction = "Remove"
)

// VerifyTimeoutAction says what to do when a weight is not verified in time.
//
// +kubebuilder:validation:Enum=Hold;Abort
type VerifyTimeoutAction string

const (
	// VerifyTimeoutHold keeps waiting. The rollout is Degraded and says which parent of which route it waits for.
	VerifyTimeoutHold VerifyTimeoutAction = "Hold"
	// VerifyTimeoutAbort aborts the release. What cannot be aborted keeps waiting.
	VerifyTimeoutAbort VerifyTimeoutAction = "Abort"
)

// RouteReference names a route in the rollout's namespace.
type RouteReference struct {
	// kind is the kind of the route. The cluster must serve it.
	// +optional
	// +default="HTTPRoute"
	// +kubebuilder:validation:Enum=HTTPRoute;GRPCRoute;TLSRoute;TCPRoute
	Kind string `json:"kind,omitempty"`

	// name is the name of the route. At least one of its rules must name both Services as backends.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	// +kubebuilder:validation:XValidation:rule="self.matches('^[a-z0-9]([-a-z0-9]*[a-z0-9])?([.][a-z0-9]([-a-z0-9]*[a-z0-9])?)*$')",message="must be the name of a route: lower case letters, digits, dashes and dots"
	Name string `json:"name,omitempty"`

	// ruleNames are the names of the rules that this rollout may write. Empty means all rules that name both Services. A rule
	// with both Services that is not listed keeps its weights, and counts as another use of the Services.
	// +optional
	// +listType=set
	// +kubebuilder:validation:MaxItems=16
	// +kubebuilder:validation:items:MinLength=1
	// +kubebuilder:validation:items:MaxLength=253
	RuleNames []string `json:"ruleNames,omitempty"`
}
