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
	// alphabet is what Kubernetes uses for generated names: no vowels, so that no words appear, and no 0, 1 and 3.
	alphabet = "bcdfghjklmnpqrstvwxz2456789"
	// nameLength is the length of the pod-template-hash of a Deployment.
	nameLength = 10
)

// Hash identifies a raw pod template. encoding/json sorts the keys of maps, so its output is canonical.
func Hash(template map[string]any) (string, error) {
	sum, err := hash(template)
	if err != nil {
		return "", fmt.Errorf("encode the pod template: %w", err)
	}
	return sum, nil
}

// StepsHash identifies the raw steps of a rollout. It hashes JSON too: a hash over Go types may change with their code.
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

// Name returns the revision of a template, which is the value of the label pod-template-hash. A higher attempt returns
// another name for the same template, for use when the previous name is taken.
func Name(hash string, attempt int) string {
	sum := sha256.Sum256([]byte(hash + "/" + strconv.Itoa(attempt)))
	name := make([]byte, nameLength)
	for i := range name {
		name[i] = alphabet[int(sum[i])%len(alphabet)]
	}
	return string(name)
}

// ReplicaSetName returns the name of the ReplicaSet that a rollout creates for a revision.
func ReplicaSetName(rollout, revision string) string { return rollout + "-" + revision }

const (
	// The API server builds the name of a pod from its generateName, truncated to leave room, and random characters.
	podNameLength    = 63
	podRandomLength  = 5
	podPrefixMaximum = podNameLength - podRandomLength
)

// PodPrefix returns the prefix of the names of a ReplicaSet's pods.
func PodPrefix(replicaSet string) string {
	prefix := replicaSet + "-"
	return prefix[:min(len(prefix), podPrefixMaximum)]
}

// OwnsPod reports whether a pod belongs to a ReplicaSet, judging by its name. The random part contains no dash, so a
// ReplicaSet with a longer name and the same prefix is not confused with it.
func OwnsPod(replicaSet, pod string) bool {
	random, found := strings.CutPrefix(pod, PodPrefix(replicaSet))
	return found && len(random) == podRandomLength && !strings.Contains(random, "-")
}
