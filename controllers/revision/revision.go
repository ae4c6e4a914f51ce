// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

package revision

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

const (
	// alphabet is the one that Kubernetes names generated things from: no vowels, so no words; no 0, 1 and 3.
	alphabet = "bcdfghjklmnpqrstvwxz2456789"
	// nameLength is that of the pod-template-hash of a Deployment.
	nameLength = 10
)

// Hash identifies a raw pod template. encoding/json sorts the keys of a map, which makes its output canonical.
func Hash(template map[string]any) (string, error) {
	sum, err := hash(template)
	if err != nil {
		return "", fmt.Errorf("encode the pod template: %w", err)
	}
	return sum, nil
}

// StepsHash identifies the raw steps of a rollout, by its JSON too: a hash over Go types may change with their code.
func StepsHash(rollout *unstructured.Unstructured) (string, error) {
	spec, _ := rollout.Object["spec"].(map[string]any)
	sum, err := hash(spec["steps"])
	if err != nil {
		return "", fmt.Errorf("encode the steps: %w", err)
	}
	return sum, nil
}

func hash(raw any) (string, error) {
	canonical, err := json.Marshal(raw)
	if err != nil {
		return "", err
	}
	sum := sha256.Sum256(canonical)
	return hex.EncodeToString(sum[:]), nil
}

// Name is the revision of a template: the value of the label pod-template-hash. A higher attempt gives another name
// for the same template, for when the one before is taken.
func Name(hash string, attempt int) string {
	sum := sha256.Sum256([]byte(hash + "/" + strconv.Itoa(attempt)))
	name := make([]byte, nameLength)
	for i := range name {
		name[i] = alphabet[int(sum[i])%len(alphabet)]
	}
	return string(name)
}

// ReplicaSetName is the name of the ReplicaSet that a rollout makes for a revision.
func ReplicaSetName(rollout, revision string) string { return rollout + "-" + revision }

const (
	// The API server makes the name of a pod from its generateName, cut to leave room, and random characters.
	podNameLength    = 63
	podRandomLength  = 5
	podPrefixMaximum = podNameLength - podRandomLength
)

// PodPrefix is how the names of a ReplicaSet's pods begin.
func PodPrefix(replicaSet string) string {
	prefix := replicaSet + "-"
	return prefix[:min(len(prefix), podPrefixMaximum)]
}

// OwnsPod tells by its name whether a pod is one of a ReplicaSet. The random part has no dash, so a ReplicaSet whose
// name merely begins the same is not mistaken for it.
func OwnsPod(replicaSet, pod string) bool {
	random, found := strings.CutPrefix(pod, PodPrefix(replicaSet))
	return found && len(random) == podRandomLength && !strings.Contains(random, "-")
}
