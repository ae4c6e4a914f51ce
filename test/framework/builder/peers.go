// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

package builder

// FlaggerCanary is a Canary of Flagger and its Deployment. Its release has one weight, 50, and a gate after it. The Services and the
// route that Flagger makes of it are not there. It is a format for the namespace, the name and the image.
const FlaggerCanary = `
apiVersion: flagger.app/v1beta1
kind: Canary
metadata: {name: %[2]s, namespace: %[1]s}
spec:
  provider: gatewayapi:v1
  targetRef: {apiVersion: apps/v1, kind: Deployment, name: %[2]s}
  service:
    port: 9080
    hosts: [%[2]s.%[1]s.example.com]
    match: [{uri: {prefix: /flagger}}]
    gatewayRefs: [{name: http-gateway, namespace: default}]
  analysis:
    interval: 10s
    stepWeight: 50
    maxWeight: 50
    webhooks: [{name: gate, type: confirm-promotion, url: "http://gate/"}]
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: %[2]s, namespace: %[1]s}
spec:
  replicas: 2
  selector: {matchLabels: {app: %[2]s}}
  template:
    metadata: {labels: {app: %[2]s}}
    spec: {containers: [{name: %[2]s, image: %[3]s}]}
`
