// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

package cluster

import (
	"bufio"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"

	auditv1 "k8s.io/apiserver/pkg/apis/audit/v1"
)

// AuditLog is the path of the log of all requests of the [Operator], and of the writes of [Admin] to Services and
// routes: one JSON audit event per line, written before the request is answered.
func (c *Cluster) AuditLog() string { return filepath.Join(c.Dir, "audit.log") }

// Audited returns the requests in the audit log for which wanted returns true.
func (c *Cluster) Audited(wanted func(*auditv1.Event) bool) ([]auditv1.Event, error) {
	file, err := os.Open(c.AuditLog())
	if err != nil {
		return nil, err
	}
	defer file.Close()
	var events []auditv1.Event
	lines := bufio.NewScanner(file)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		var event auditv1.Event
		if err := json.Unmarshal(lines.Bytes(), &event); err != nil {
			continue // the last line may be incomplete
		}
		if wanted(&event) {
			events = append(events, event)
		}
	}
	if err := lines.Err(); err != nil {
		return nil, fmt.Errorf("read the audit log: %w", err)
	}
	return events, nil
}
