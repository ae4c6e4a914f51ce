// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

package lint

import (
	"cmp"
	"regexp"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/util/validation/field"
)

// message is an error of the API server, reworded for users.
type message struct {
	path, text string
}

// nowhere is the path of an error without one.
var nowhere = (*field.Path)(nil).String()

// inWords matches the path that the text of such an error contains.
var inWords = regexp.MustCompile(`^"(spec[^"]*)" must| in (spec[^ ]*)$`)

// messagesOf converts the errors. It drops those that only repeat that a field is wrong.
func messagesOf(errs field.ErrorList) []message {
	isKnown := func(path string) bool {
		return slices.ContainsFunc(errs, func(err *field.Error) bool { return err.Field == path })
	}
	var messages []message
	for _, err := range errs {
		if err.Field != nowhere {
			messages = append(messages, message{err.Field, textOf(err)})
			continue
		}
		path := ""
		if words := inWords.FindStringSubmatch(err.Detail); words != nil {
			path = cmp.Or(words[1], words[2])
		}
		if path == "" || !isKnown(path) {
			messages = append(messages, message{path, cmp.Or(err.Detail, err.ErrorBody())})
		}
	}
	return messages
}

// textOf returns the API server's text without the repeated path, and with one name for integers.
func textOf(err *field.Error) string {
	text := strings.Replace(err.ErrorBody(), err.Field+" in body ", "", 1)
	return strings.Replace(text, "must be of type int32", "must be of type integer", 1)
}
