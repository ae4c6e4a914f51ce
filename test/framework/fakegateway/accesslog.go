// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

package fakegateway

import (
	"encoding/json"
	"os"
	"sync"
)

// An accessLog has one line per request that the gateway answered itself, in the format of Traefik's.
type accessLog struct {
	path string
	mu   sync.Mutex
	file *os.File
}

// A line of the access log. The package load reads the first two fields; the others are for human readers.
type line struct {
	ID      string `json:"request_X-Request-Id"`
	Address string `json:"ServiceAddr,omitempty"`
	Status  int    `json:"DownstreamStatus"`
	Reason  string `json:"Reason"`
	Host    string `json:"RequestHost"`
	Path    string `json:"RequestPath"`
}

// write does nothing without a path. The line is in the file when write returns.
func (l *accessLog) write(entry line) error {
	if l.path == "" {
		return nil
	}
	encoded, err := json.Marshal(entry)
	if err != nil {
		return err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.file == nil {
		if l.file, err = os.OpenFile(l.path, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o644); err != nil {
			return err
		}
	}
	_, err = l.file.Write(append(encoded, '\n'))
	return err
}

func (l *accessLog) close() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.file != nil {
		_ = l.file.Close() // every line was written at once
		l.file = nil
	}
}
