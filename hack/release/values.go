// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"fmt"
	"strings"

	"go.yaml.in/yaml/v3"
)

// chartValues sets the image in the chart's values. Everything else stays as it is, comments too: users read this file.
func chartValues(values []byte, image string) ([]byte, error) {
	repository, digest, pinned := strings.Cut(image, "@")
	if !pinned {
		return nil, fmt.Errorf("%s is not REPOSITORY@DIGEST", image)
	}
	var document yaml.Node
	if err := yaml.Unmarshal(values, &document); err != nil {
		return nil, err
	}
	lines := bytes.SplitAfter(values, []byte("\n"))
	for key, value := range map[string]string{"repository": repository, "digest": digest} {
		node := child(child(document.Content[0], "image"), key)
		if node == nil || node.Kind != yaml.ScalarNode {
			return nil, fmt.Errorf("values.yaml has no image.%s", key)
		}
		line := lines[node.Line-1]
		lines[node.Line-1] = fmt.Appendf(line[:node.Column-1:node.Column-1], "%s\n", value)
	}
	return bytes.Join(lines, nil), nil
}

// child returns the value of a mapping's key, or nil.
func child(mapping *yaml.Node, key string) *yaml.Node {
	if mapping == nil || mapping.Kind != yaml.MappingNode {
		return nil
	}
	for i := 0; i < len(mapping.Content); i += 2 {
		if mapping.Content[i].Value == key {
			return mapping.Content[i+1]
		}
	}
	return nil
}
