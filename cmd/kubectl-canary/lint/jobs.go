// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

package lint

import (
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"strings"

	batchv1 "k8s.io/api/batch/v1"
	sigsjson "sigs.k8s.io/json"
)

// checkJobs decodes the template of each Job as the API server decodes a Job: its schema describes only what every Job must have.
func checkJobs(o object) (found []Finding) {
	walkJobs(o.Object["spec"], "spec", func(path string, template any) {
		content, err := json.Marshal(template)
		if err != nil {
			found = append(found, o.find(Error, IDInvalid, path, err.Error()))
			return
		}
		strict, err := sigsjson.UnmarshalStrict(content, &batchv1.JobTemplateSpec{})
		if err != nil {
			found = append(found, o.find(Error, IDInvalid, path, strings.TrimPrefix(err.Error(), "json: ")))
			return
		}
		base := strings.Split(listIndex.ReplaceAllString(path, ".[]"), ".")
		for _, err := range strict {
			if unknown := sigsjson.FieldError(nil); errors.As(err, &unknown) {
				field := path + "." + unknown.FieldPath()
				found = append(found, o.find(Error, IDUnknownField, field, unknownField(field, fieldsBelow(reflect.TypeFor[batchv1.JobTemplateSpec](), base))))
			}
		}
	})
	return found
}

// walkJobs visits the template of every Job below a node, but not what is below spec.template.
func walkJobs(node any, path string, visit func(path string, template any)) {
	switch typed := node.(type) {
	case map[string]any:
		if job, isObject := typed["job"].(map[string]any); isObject && job["template"] != nil {
			visit(path+".job.template", job["template"])
		}
		for _, field := range []string{"analysis", "metrics", "steps"} {
			walkJobs(typed[field], path+"."+field, visit)
		}
	case []any:
		for i := range typed {
			walkJobs(typed[i], fmt.Sprintf("%s[%d]", path, i), visit)
		}
	}
}
