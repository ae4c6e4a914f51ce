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

// message is an error of the API server as a person wants it.
type message struct {
	path, text string
}

// nowhere is the path of an error that has none.
var nowhere = (*field.Path)(nil).String()

// inWords finds the path that such an error has in its text.
var inWords = regexp.MustCompile(`^"(spec[^"]*)" must| in (spec[^ ]*)$`)

// messagesOf leaves out what only says again, in other words, that a field is wrong.
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

// textOf is the API server's text, without the path that it repeats, and with one name for whole numbers.
func textOf(err *field.Error) string {
	text := strings.Replace(err.ErrorBody(), err.Field+" in body ", "", 1)
	return strings.Replace(text, "must be of type int32", "must be of type integer", 1)
}
