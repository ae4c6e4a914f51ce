// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

package lint

import (
	"context"
	"fmt"
	"math"
	"sync"

	"k8s.io/apiextensions-apiserver/pkg/apis/apiextensions"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	structuralschema "k8s.io/apiextensions-apiserver/pkg/apiserver/schema"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema/cel"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema/defaulting"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema/listtype"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema/objectmeta"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema/pruning"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/validation"
	metavalidation "k8s.io/apimachinery/pkg/api/validation"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/util/validation/field"
	celconfig "k8s.io/apiserver/pkg/apis/cel"
	"sigs.k8s.io/yaml"

	"github.com/canaryrollout/canaryrollout/api/v1alpha1"
	"github.com/canaryrollout/canaryrollout/config/crd"
)

// The kinds that are checked.
const (
	kindRollout = "CanaryRollout"
	kindMetric  = "CanaryMetric"
)

// schema is the schema of a kind from its CustomResourceDefinition, compiled for use.
type schema struct {
	structural *structuralschema.Structural
	openAPI    validation.SchemaValidator
	rules      *cel.Validator
}

// schemas compiles the rules of each kind once, because that is most of the work.
var schemas = map[string]func() (*schema, error){
	kindRollout: sync.OnceValues(func() (*schema, error) { return newSchema(crd.Rollouts) }),
	kindMetric:  sync.OnceValues(func() (*schema, error) { return newSchema(crd.Metrics) }),
}

func newSchema(manifest []byte) (*schema, error) {
	definition := &apiextensionsv1.CustomResourceDefinition{}
	if err := yaml.Unmarshal(manifest, definition); err != nil {
		return nil, fmt.Errorf("read the CustomResourceDefinition: %w", err)
	}
	for _, version := range definition.Spec.Versions {
		if version.Name == v1alpha1.GroupVersion.Version && version.Schema != nil {
			return compile(version.Schema)
		}
	}
	return nil, fmt.Errorf("the CustomResourceDefinition has no version %s", v1alpha1.GroupVersion.Version)
}

func compile(given *apiextensionsv1.CustomResourceValidation) (*schema, error) {
	internal := &apiextensions.CustomResourceValidation{}
	err := apiextensionsv1.Convert_v1_CustomResourceValidation_To_apiextensions_CustomResourceValidation(given, internal, nil)
	if err != nil {
		return nil, err
	}
	structural, err := structuralschema.NewStructural(internal.OpenAPIV3Schema)
	if err != nil {
		return nil, err
	}
	openAPI, _, err := validation.NewSchemaValidator(internal.OpenAPIV3Schema)
	if err != nil {
		return nil, err
	}
	return &schema{structural, openAPI, cel.NewValidator(structural, true, celconfig.PerCallLimit)}, nil
}

// check does what the API server does when an object is created, in the same order, and leaves the object as it would
// be stored. Unlike the API server, it continues after unknown fields, to report all findings at once.
func (s *schema) check(ctx context.Context, o object) []Finding {
	unknown, err := s.prepare(o)
	var found []Finding
	for _, path := range unknown {
		found = append(found, o.find(Error, IDUnknownField, path, unknownField(path, s.fieldsAt)))
	}
	if err != nil {
		return append(found, o.find(Error, IDInvalid, "metadata", err.Error()))
	}
	found = append(found, checkTemplate(o)...)
	found = append(found, checkJobs(o)...)
	errs := s.validate(ctx, o)
	for _, message := range messagesOf(errs) {
		found = append(found, o.find(Error, IDInvalid, message.path, message.text))
	}
	if isBlocking(errs) {
		found = append(found, o.find(Note, IDUnchecked, "", "more rules are checked when these errors are corrected"))
	}
	return found
}

// prepare removes what the API server would not store, and sets defaults. It returns the fields that it removed.
func (s *schema) prepare(o object) (unknown []string, err error) {
	meta, found, unknown, err := objectmeta.GetObjectMetaWithOptions(o.Object, objectmeta.ObjectMetaOptions{ReturnUnknownFieldPaths: true})
	if err != nil {
		return nil, err
	}
	delete(o.Object, "status")
	options := structuralschema.UnknownFieldPathOptions{TrackUnknownFieldPaths: true}
	unknown = append(unknown, pruning.PruneWithOptions(o.Object, s.structural, true, options)...)
	defaulting.PruneNonNullableNullsWithoutDefaults(o.Object, s.structural)
	fieldErr, paths := objectmeta.CoerceWithOptions(nil, o.Object, s.structural, false, objectmeta.CoerceOptions{ReturnUnknownFieldPaths: true})
	unknown = append(unknown, paths...)
	if fieldErr != nil {
		return unknown, fieldErr
	}
	if found {
		if err := objectmeta.SetObjectMeta(o.Object, meta); err != nil {
			return unknown, err
		}
	}
	defaulting.Default(o.Object, s.structural)
	return unknown, nil
}

func (s *schema) validate(ctx context.Context, o object) field.ErrorList {
	errs := validateMeta(o)
	errs = append(errs, validation.ValidateCustomResource(nil, o.Object, s.openAPI)...)
	errs = append(errs, validateScale(o)...)
	errs = append(errs, objectmeta.Validate(ctx, nil, o.Object, s.structural, false)...)
	errs = append(errs, listtype.ValidateListSetsAndMaps(nil, s.structural, o.Object)...)
	if isBlocking(errs) {
		return errs
	}
	broken, _ := s.rules.Validate(ctx, nil, s.structural, o.Object, nil, celconfig.RuntimeCELCostBudget)
	return append(errs, broken...)
}

// validateMeta validates a copy in which it sets what the request or the API server would provide.
func validateMeta(o object) field.ErrorList {
	meta := &metav1.ObjectMeta{
		Name: o.GetName(), GenerateName: o.GetGenerateName(), Namespace: o.GetNamespace(), Labels: o.GetLabels(),
		Annotations: o.GetAnnotations(), Finalizers: o.GetFinalizers(), OwnerReferences: o.GetOwnerReferences(),
	}
	if meta.Namespace == "" {
		meta.Namespace = metav1.NamespaceDefault
	}
	if meta.Name == "" && meta.GenerateName != "" {
		meta.Name = meta.GenerateName + "x"
	}
	return metavalidation.ValidateObjectMetaAccessor(meta, true, metavalidation.NameIsDNSSubdomain, field.NewPath("metadata"))
}

// isBlocking reports whether the errors keep the API server from evaluating the CEL rules.
func isBlocking(errs field.ErrorList) bool {
	for _, err := range errs {
		switch err.Type {
		case field.ErrorTypeNotSupported, field.ErrorTypeRequired, field.ErrorTypeTooLong, field.ErrorTypeTooMany, field.ErrorTypeTypeInvalid:
			return true
		default:
		}
	}
	return false
}

// validateScale checks what the scale subresource requires of its field beyond the schema.
func validateScale(o object) field.ErrorList {
	replicas, found, err := unstructured.NestedInt64(o.Object, "spec", "replicas")
	if err != nil || !found || replicas <= math.MaxInt32 {
		return nil // the schema reports everything else
	}
	return field.ErrorList{field.Invalid(field.NewPath("spec", "replicas"), replicas,
		fmt.Sprintf("should be less than or equal to %d", math.MaxInt32))}
}
