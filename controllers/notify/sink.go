// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

package notify

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"strconv"
	"strings"
	"time"

	"k8s.io/client-go/util/workqueue"

	"github.com/canaryrollout/canaryrollout/api/v1alpha1"
	"github.com/canaryrollout/canaryrollout/controllers/endpoint"
)

const (
	// TimestampHeader has the time of a signed request, in seconds since 1970.
	TimestampHeader = "X-CanaryRollout-Timestamp"
	// SignatureHeader has "sha256=" and, in hexadecimal digits, the HMAC of the timestamp, a dot, and the body.
	SignatureHeader = "X-CanaryRollout-Signature"

	// minKey is the shortest key of a signature, in bytes.
	minKey = 16
	// maxAnswer is how much of an answer is read, in bytes, so that its connection can be used again.
	maxAnswer = 4 << 10
)

// sink is a sink of the administrator.
type sink struct {
	*endpoint.Endpoint
	config sinkConfig
	// url is nil if it is in a file.
	url *url.URL
	// urlFile and keyFile are read for each request, because Secrets are rotated.
	urlFile, keyFile string
	queue            workqueue.TypedDelayingInterface[key] // nil before Start
	// failing is how many rollouts have a delivery that failed and is tried again.
	failing int
}

// address returns where to send requests.
func (s *sink) address() (*url.URL, error) {
	if s.url != nil {
		return s.url, nil
	}
	content, err := os.ReadFile(s.urlFile)
	if err != nil {
		return nil, fmt.Errorf("urlFile: %w", err)
	}
	return parseAddress(strings.TrimSpace(string(content)))
}

// key returns the key of signatures; nil if requests are not signed.
func (s *sink) key() ([]byte, error) {
	if s.keyFile == "" {
		return nil, nil
	}
	key, err := os.ReadFile(s.keyFile)
	if err != nil {
		return nil, fmt.Errorf("signingKeyFile: %w", err)
	}
	if key = bytes.TrimSpace(key); len(key) < minKey {
		return nil, fmt.Errorf("signingKeyFile: the key has %d bytes: it must have at least %d", len(key), minKey)
	}
	return key, nil
}

// deliver sends a transition once. The error has no address, which may be a secret.
func (s *sink) deliver(ctx context.Context, of Rollout, transition *v1alpha1.TransitionMemory, dropped int64) error {
	body, contentType, err := s.body(of, transition, dropped)
	if err != nil {
		return err
	}
	// Receivers reject an old signature, so the time in it must not be from before the wait.
	if err := s.Requests.Wait(ctx); err != nil {
		return errors.New("too many requests wait for it")
	}
	address, err := s.address()
	if err != nil {
		return err
	}
	key, err := s.key()
	if err != nil {
		return err
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, address.String(), bytes.NewReader(body))
	if err != nil {
		return errors.New("its URL cannot be used")
	}
	request.Header.Set("Content-Type", contentType)
	if key != nil {
		sign(request.Header, key, now(), body)
	}
	answer, err := s.Send(ctx, request, maxAnswer)
	switch {
	case err != nil:
		return errors.New(s.Describe(err))
	case answer.Status < http.StatusOK || answer.Status >= http.StatusMultipleChoices:
		return fmt.Errorf("it answers with status %d", answer.Status)
	}
	return nil
}

// sign adds the signature of a body. It covers the time, so that a receiver can reject what was recorded earlier.
func sign(header http.Header, key []byte, at time.Time, body []byte) {
	timestamp := strconv.FormatInt(at.Unix(), 10)
	mac := hmac.New(sha256.New, key)
	mac.Write([]byte(timestamp + "."))
	mac.Write(body)
	header.Set(TimestampHeader, timestamp)
	header.Set(SignatureHeader, "sha256="+hex.EncodeToString(mac.Sum(nil)))
}
