// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

package builder

// Services is a manifest of the two Services of a rollout from MakeRollout. It is a format for the namespace and the name
// of the rollout.
const Services = `
apiVersion: v1
kind: Service
metadata: {name: %[2]s-stable, namespace: %[1]s, labels: {app: %[2]s}}
spec: {ports: [{port: 9080, name: http}], selector: {app: %[2]s}}
---
apiVersion: v1
kind: Service
metadata: {name: %[2]s-canary, namespace: %[1]s, labels: {app: %[2]s}}
spec: {ports: [{port: 9080, name: http}], selector: {app: %[2]s}}
`
