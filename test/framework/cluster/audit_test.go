// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

package cluster

import (
	"os"
	"testing"

	auditv1 "k8s.io/apiserver/pkg/apis/audit/v1"
)

// TestAuditReader: each request is returned once, also one whose line was incomplete when the log was read.
func TestAuditReader(t *testing.T) {
	c := &Cluster{Dir: t.TempDir()}
	log, err := os.Create(c.AuditLog())
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close()
	reader, err := c.OpenAudit()
	if err != nil {
		t.Fatal(err)
	}
	defer reader.Close()
	for _, tc := range []struct{ written, want string }{
		{`{"verb":"get"}` + "\n" + `{"verb":"list"}` + "\n" + `{"verb":`, "get list "},
		{`"patch"`, ""},
		{"}\n{broken\n" + `{"verb":"watch"}` + "\n" + `{"verb":"create"}` + "\n", "patch create "},
		{"", ""},
	} {
		if _, err := log.WriteString(tc.written); err != nil {
			t.Fatal(err)
		}
		events, err := reader.Next(func(event *auditv1.Event) bool { return event.Verb != "watch" })
		if err != nil {
			t.Fatal(err)
		}
		var verbs string
		for _, event := range events {
			verbs += event.Verb + " "
		}
		if verbs != tc.want {
			t.Errorf("after %q: %q, want %q", tc.written, verbs, tc.want)
		}
	}
}
