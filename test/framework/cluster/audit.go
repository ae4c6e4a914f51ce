// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

package cluster

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	auditv1 "k8s.io/apiserver/pkg/apis/audit/v1"
)

// AuditLog is the path of the log of all requests of the [Operator], and of the writes of [Admin] to Services and
// routes: one JSON audit event per line, written before the request is answered. With [Options.AuditEveryone] it has the
// requests of all users.
func (c *Cluster) AuditLog() string { return filepath.Join(c.Dir, "audit.log") }

// Audited returns the requests in the audit log for which wanted returns true.
func (c *Cluster) Audited(wanted func(*auditv1.Event) bool) ([]auditv1.Event, error) {
	reader, err := c.OpenAudit()
	if err != nil {
		return nil, err
	}
	defer reader.Close()
	return reader.Next(wanted)
}

// An AuditReader reads the audit log in parts.
type AuditReader struct {
	file  *os.File
	lines *bufio.Reader
	// begun is the part of the last line that was already written.
	begun []byte
}

// OpenAudit returns a reader at the beginning of the audit log.
func (c *Cluster) OpenAudit() (*AuditReader, error) {
	file, err := os.Open(c.AuditLog())
	if err != nil {
		return nil, err
	}
	return &AuditReader{file: file, lines: bufio.NewReaderSize(file, 1<<20)}, nil
}

// Next returns the requests since the last call for which wanted returns true.
func (r *AuditReader) Next(wanted func(*auditv1.Event) bool) (events []auditv1.Event, err error) {
	for {
		line, err := r.lines.ReadBytes('\n')
		r.begun = append(r.begun, line...)
		if errors.Is(err, io.EOF) {
			return events, nil
		}
		if err != nil {
			return nil, fmt.Errorf("read the audit log: %w", err)
		}
		var event auditv1.Event
		err = json.Unmarshal(r.begun, &event)
		r.begun = r.begun[:0]
		if err == nil && wanted(&event) { // an API server that was killed may have left a part of a line
			events = append(events, event)
		}
	}
}

// Close closes the log.
func (r *AuditReader) Close() error { return r.file.Close() }
