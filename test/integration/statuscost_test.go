// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

package integration

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/discovery"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/yaml"

	"github.com/canaryrollout/canaryrollout/api/v1alpha1"
	"github.com/canaryrollout/canaryrollout/test/framework/cluster"
	"github.com/canaryrollout/canaryrollout/test/framework/sample"
)

// profiles is a folder for a CPU profile of the API server for each variant; empty for none.
var profiles = os.Getenv("STATUS_PROFILES")

// BenchmarkStatusPatch measures how much CPU of the API server a status patch takes, and how much of it is due to a part of the
// CustomResourceDefinition or of the object. Each variant is the shipped CRD under another group, or an object of it, without one
// part. The table in docs/design.md is from:
//
//	go test ./test/integration -run '^$' -bench StatusPatch -benchtime 1000x
func BenchmarkStatusPatch(b *testing.B) {
	for _, variant := range statusVariants {
		b.Run(strings.ReplaceAll(variant.name, " ", "_"), func(b *testing.B) { variant.measure(b) })
	}
}

// statusVariant alters the schema of the CRD, or the object before it is created, or its status.
type statusVariant struct {
	name   string
	schema func(root *apiextensionsv1.JSONSchemaProps)
	object func(object map[string]any)
	status func(status map[string]any)
}

var statusVariants = []statusVariant{
	{name: "as shipped"},
	{name: "without CEL rules", schema: eachBelow(func(s *apiextensionsv1.JSONSchemaProps) { s.XValidations = nil })},
	{name: "without a schema of the template", schema: func(root *apiextensionsv1.JSONSchemaProps) { open(root, "spec", "template") }},
	{name: "without list maps", schema: eachBelow(func(s *apiextensionsv1.JSONSchemaProps) { s.XListType, s.XListMapKeys = nil, nil })},
	{name: "granular status", schema: granularStatus},
	{name: "without a schema of the status", schema: func(root *apiextensionsv1.JSONSchemaProps) { open(root, "status") }},
	{name: "without a schema of the spec", schema: func(root *apiextensionsv1.JSONSchemaProps) { open(root, "spec") }},
	{name: "without any schema", schema: func(root *apiextensionsv1.JSONSchemaProps) { open(root, "spec"); open(root, "status") }},
	{name: "two conditions", status: func(status map[string]any) { status["conditions"] = status["conditions"].([]any)[:2] }},
	{name: "without memory", status: func(status map[string]any) { delete(status, "memory") }},
	{name: "without history", status: func(status map[string]any) { delete(status, "history") }},
	{name: "without steps", object: func(object map[string]any) { delete(object["spec"].(map[string]any), "steps") }},
	{name: "with the annotation of kubectl apply", object: func(object map[string]any) {
		manifest, _ := json.Marshal(object)
		object["metadata"].(map[string]any)["annotations"] = map[string]any{"kubectl.kubernetes.io/last-applied-configuration": string(manifest)}
	}},
	{name: "template of two containers and 60 variables", object: func(object map[string]any) {
		spec := object["spec"].(map[string]any)["template"].(map[string]any)["spec"].(map[string]any)
		var variables []any
		for i := range 60 {
			variables = append(variables, map[string]any{"name": fmt.Sprintf("VARIABLE_%d", i), "value": "a value of some length"})
		}
		first := spec["containers"].([]any)[0].(map[string]any)
		second := maps.Clone(first)
		second["name"], second["env"], first["env"] = "second", variables[:30], variables[30:]
		spec["containers"] = []any{first, second}
	}},
}

// eachBelow alters a schema and all schemas below it.
func eachBelow(alter func(*apiextensionsv1.JSONSchemaProps)) func(*apiextensionsv1.JSONSchemaProps) {
	var visit func(s *apiextensionsv1.JSONSchemaProps)
	visit = func(s *apiextensionsv1.JSONSchemaProps) {
		alter(s)
		for name, property := range s.Properties {
			visit(&property)
			s.Properties[name] = property
		}
		if s.Items != nil && s.Items.Schema != nil {
			visit(s.Items.Schema)
		}
		if s.AdditionalProperties != nil && s.AdditionalProperties.Schema != nil {
			visit(s.AdditionalProperties.Schema)
		}
	}
	return visit
}

// alterAt alters the schema of the field with that path.
func alterAt(s *apiextensionsv1.JSONSchemaProps, alter func(*apiextensionsv1.JSONSchemaProps), path ...string) {
	if len(path) == 0 {
		alter(s)
		return
	}
	property := s.Properties[path[0]]
	alterAt(&property, alter, path[1:]...)
	s.Properties[path[0]] = property
}

// open makes a field store whatever it is given.
func open(root *apiextensionsv1.JSONSchemaProps, path ...string) {
	alterAt(root, func(s *apiextensionsv1.JSONSchemaProps) {
		*s = apiextensionsv1.JSONSchemaProps{Type: "object", XPreserveUnknownFields: ptr.To(true)}
	}, path...)
}

// granularStatus makes the API server track who owns each field of the status, and not only the status.
func granularStatus(root *apiextensionsv1.JSONSchemaProps) {
	alterAt(root, func(s *apiextensionsv1.JSONSchemaProps) { s.XMapType = nil }, "status")
}

func (v *statusVariant) measure(b *testing.B) {
	b.Helper()
	object := v.create(b)
	config := env.Cluster.RESTConfig(cluster.Admin)
	config.QPS = -1
	c, err := client.New(config, client.Options{})
	if err != nil {
		b.Fatal(err)
	}
	statuses := [2]map[string]any{v.aStatus(b, 0), v.aStatus(b, 1)}
	patch := func(i int) { patchStatus(b, c, object, statuses[i%2]) }
	for i := range 20 {
		patch(i)
	}
	settleDown(b)
	stop := v.profile(b)
	before := apiServerCPU(b)
	b.ResetTimer()
	for i := range b.N {
		patch(i)
	}
	b.StopTimer()
	b.ReportMetric(float64((apiServerCPU(b)-before).Microseconds())/1000/float64(b.N), "ms-API-server/op")
	stop()
	stored := &unstructured.Unstructured{}
	stored.SetGroupVersionKind(object.GroupVersionKind())
	if err := c.Get(b.Context(), client.ObjectKeyFromObject(object), stored); err != nil {
		b.Fatal(err)
	}
	data, err := stored.MarshalJSON()
	if err != nil {
		b.Fatal(err)
	}
	b.ReportMetric(float64(len(data)), "bytes")
	managed, err := json.Marshal(stored.GetManagedFields())
	if err != nil {
		b.Fatal(err)
	}
	b.ReportMetric(float64(len(managed)), "managed-bytes")
}

// patchStatus patches a status as the manager does. It returns the metadata that the API server answers with.
func patchStatus(tb testing.TB, c client.Client, object *unstructured.Unstructured, status map[string]any) *metav1.PartialObjectMetadata {
	tb.Helper()
	data, err := json.Marshal(map[string]any{"status": status})
	if err != nil {
		tb.Fatal(err)
	}
	answer := &metav1.PartialObjectMetadata{ObjectMeta: metav1.ObjectMeta{Namespace: object.GetNamespace(), Name: object.GetName()}}
	answer.SetGroupVersionKind(object.GroupVersionKind())
	err = c.Status().Patch(tb.Context(), answer, client.RawPatch(types.MergePatchType, data),
		client.FieldOwner(v1alpha1.FieldManager), client.FieldValidation(metav1.FieldValidationStrict))
	if err != nil {
		tb.Fatal(err)
	}
	return answer
}

// TestGranularStatusBecomesAtomic upgrades a CRD that tracked who owns each field of the status. The next status write leaves one entry
// for the whole status: what was a third of the object, in every write, watch event and backup, is gone.
func TestGranularStatusBecomesAtomic(t *testing.T) {
	variant := &statusVariant{name: "granular", schema: granularStatus}
	object := variant.create(t)
	owned := func(answer *metav1.PartialObjectMetadata) string {
		t.Helper()
		for _, entry := range answer.ManagedFields {
			if entry.Manager == v1alpha1.FieldManager && entry.Subresource == "status" {
				return string(entry.FieldsV1.GetRawBytes())
			}
		}
		return ""
	}
	if fields := owned(patchStatus(t, env.Admin, object, variant.aStatus(t, 0))); !strings.Contains(fields, "f:stableRevision") {
		t.Fatalf("a granular status is owned as %s", fields)
	}
	crd := &unstructured.Unstructured{}
	crd.SetAPIVersion("apiextensions.k8s.io/v1")
	crd.SetKind("CustomResourceDefinition")
	crd.SetName("canaryrollouts." + object.GroupVersionKind().Group)
	const atomic = `[{"op": "add", "path": "/spec/versions/0/schema/openAPIV3Schema/properties/status/x-kubernetes-map-type", "value": "atomic"}]`
	if err := env.Admin.Patch(t.Context(), crd, client.RawPatch(types.JSONPatchType, []byte(atomic))); err != nil {
		t.Fatal(err)
	}
	i := 0
	eventually(t, "the new schema", func(context.Context) (bool, error) {
		i++
		return owned(patchStatus(t, env.Admin, object, variant.aStatus(t, i%2))) == `{"f:status":{}}`, nil
	})
}

// create installs the CRD of the variant, and creates an object.
func (v *statusVariant) create(tb testing.TB) *unstructured.Unstructured {
	tb.Helper()
	content, err := os.ReadFile(crdFile)
	if err != nil {
		tb.Fatal(err)
	}
	crd := &apiextensionsv1.CustomResourceDefinition{}
	if err := yaml.UnmarshalStrict(content, crd); err != nil {
		tb.Fatal(err)
	}
	crd.Spec.Group = fmt.Sprintf("v%d.cost.example.test", time.Now().UnixNano())
	crd.Name = crd.Spec.Names.Plural + "." + crd.Spec.Group
	crd.Spec.Names.ShortNames, crd.Spec.Names.Categories = nil, nil
	if v.schema != nil {
		v.schema(crd.Spec.Versions[0].Schema.OpenAPIV3Schema)
	}
	manifest, err := yaml.Marshal(crd)
	if err != nil {
		tb.Fatal(err)
	}
	config := env.Cluster.RESTConfig(cluster.Admin)
	if err := cluster.Apply(tb.Context(), config, manifest); err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		if err := env.Admin.Delete(context.WithoutCancel(tb.Context()), &unstructured.Unstructured{Object: map[string]any{
			"apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition", "metadata": map[string]any{"name": crd.Name},
		}}); err != nil {
			tb.Error(err)
		}
	})
	if err := cluster.WaitForCRDs(tb.Context(), config, crd.Name); err != nil {
		tb.Fatal(err)
	}
	object := sampleObject(tb)
	if v.object != nil {
		v.object(object.Object)
	}
	object.SetAPIVersion(crd.Spec.Group + "/" + crd.Spec.Versions[0].Name)
	manifest, err = yaml.Marshal(object.Object)
	if err != nil {
		tb.Fatal(err)
	}
	if err := cluster.Apply(tb.Context(), config, manifest); err != nil {
		tb.Fatal(err)
	}
	return object
}

// aStatus returns a status in the middle of a release of ten weights. Odd ones differ from even ones as one weight does from the next.
func (v *statusVariant) aStatus(tb testing.TB, i int) map[string]any {
	tb.Helper()
	content, err := os.ReadFile(filepath.Join("testdata", "status.yaml"))
	if err != nil {
		tb.Fatal(err)
	}
	text := strings.NewReplacer("WEIGHT", strconv.Itoa(30+10*i), "STEP", strconv.Itoa(4+i), "SECOND", fmt.Sprintf("%02d", 10+i)).Replace(string(content))
	status := map[string]any{}
	if err := yaml.UnmarshalStrict([]byte(text), &status); err != nil {
		tb.Fatal(err)
	}
	if v.status != nil {
		v.status(status)
	}
	return status
}

// profile takes a CPU profile of the API server until stop is called, if profiles are wanted. The profile ends by itself.
func (v *statusVariant) profile(b *testing.B) (stop func()) {
	b.Helper()
	if profiles == "" || b.N < 100 {
		return func() {}
	}
	api, err := discovery.NewDiscoveryClientForConfig(env.Cluster.RESTConfig(cluster.Admin))
	if err != nil {
		b.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		data, err := api.RESTClient().Get().AbsPath("/debug/pprof/profile").Param("seconds", "6").Do(b.Context()).Raw()
		if err != nil {
			b.Error(err)
			return
		}
		if err := os.WriteFile(filepath.Join(profiles, strings.ReplaceAll(v.name, " ", "_")+".pprof"), data, 0o600); err != nil {
			b.Error(err)
		}
	}()
	return func() { <-done }
}

// settleDown waits until the API server has published the schema of the new CRD, which costs more than many patches.
func settleDown(b *testing.B) {
	b.Helper()
	var last []time.Duration
	for range 60 {
		before := apiServerCPU(b)
		time.Sleep(time.Second)
		last = append(last, apiServerCPU(b)-before)
		if n := len(last); n >= 3 && slices.Max(last[n-3:]) <= 60*time.Millisecond {
			return
		}
	}
	b.Fatalf("the API server stays busy: %v of CPU in each second", last)
}

// apiServerCPU returns how much CPU the API server has used so far.
func apiServerCPU(b *testing.B) time.Duration {
	b.Helper()
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", env.Cluster.Process(cluster.APIServer).PID()))
	if err != nil {
		b.Fatal(err)
	}
	_, after, _ := strings.Cut(string(stat), ") ") // what comes before may contain spaces
	fields := strings.Fields(after)
	user, errUser := strconv.Atoi(fields[11])
	system, errSystem := strconv.Atoi(fields[12])
	if errUser != nil || errSystem != nil {
		b.Fatal(errUser, errSystem)
	}
	const tick = 10 * time.Millisecond // USER_HZ
	return time.Duration(user+system) * tick
}

func sampleObject(tb testing.TB) *unstructured.Unstructured {
	tb.Helper()
	object := &unstructured.Unstructured{Object: tenWeights(tb)}
	object.SetNamespace(namespace)
	object.SetName("reviews")
	return object
}

// tenWeights returns the rollout of the sample with ten weights.
func tenWeights(tb testing.TB) map[string]any {
	tb.Helper()
	object := sample.Object(tb)
	var steps []any
	for weight := 10; weight <= 100; weight += 10 {
		steps = append(steps, map[string]any{"setWeight": int64(weight)})
	}
	object["spec"].(map[string]any)["steps"] = steps
	return object
}
