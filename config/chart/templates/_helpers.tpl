{{- /*
Copyright The CanaryRollout Authors.
SPDX-License-Identifier: Apache-2.0
*/ -}}

{{- /* The beginning of all names. The longest suffix that follows has 27 characters, and a Service may have 63. */ -}}
{{- define "canaryrollout.fullname" -}}
{{- $name := .Values.nameOverride | default .Chart.Name -}}
{{- $full := ternary .Release.Name (printf "%s-%s" .Release.Name $name) (contains $name .Release.Name) -}}
{{- .Values.fullnameOverride | default $full | trunc 36 | trimSuffix "-" -}}
{{- end -}}

{{- define "canaryrollout.manager" -}}
{{- include "canaryrollout.fullname" . }}-controller-manager
{{- end -}}

{{- define "canaryrollout.labels" -}}
app.kubernetes.io/name: canaryrollout
app.kubernetes.io/instance: {{ .Release.Name | quote }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ .Chart.Name }}-{{ .Chart.Version | replace "+" "_" }}
{{- end -}}

{{- /* What tells the manager's pods from those of other releases. */ -}}
{{- define "canaryrollout.selector" -}}
app.kubernetes.io/name: canaryrollout
app.kubernetes.io/instance: {{ .Release.Name | quote }}
app.kubernetes.io/component: controller-manager
{{- end -}}

{{- /* The label of the pods of one shard; none if there is one shard alone. */ -}}
{{- define "canaryrollout.shard" -}}
{{- if gt (int .root.Values.shards) 1 -}}
canaryrollout.dev/shard: {{ .index | quote }}
{{- end -}}
{{- end -}}

{{- define "canaryrollout.managerLabels" -}}
{{ include "canaryrollout.labels" . }}
app.kubernetes.io/component: controller-manager
{{- end -}}

{{- define "canaryrollout.dashboard" -}}
{{- include "canaryrollout.fullname" . }}-dashboard
{{- end -}}

{{- define "canaryrollout.dashboardSelector" -}}
app.kubernetes.io/name: canaryrollout
app.kubernetes.io/instance: {{ .Release.Name | quote }}
app.kubernetes.io/component: dashboard
{{- end -}}

{{- define "canaryrollout.dashboardLabels" -}}
{{ include "canaryrollout.labels" . }}
app.kubernetes.io/component: dashboard
{{- end -}}

{{- define "canaryrollout.serviceAccount" -}}
{{- .Values.serviceAccount.name | default (include "canaryrollout.manager" .) -}}
{{- end -}}

{{- define "canaryrollout.subjects" -}}
subjects:
- kind: ServiceAccount
  name: {{ include "canaryrollout.serviceAccount" . | quote }}
  namespace: {{ .Release.Namespace | quote }}
{{- end -}}

{{- define "canaryrollout.image" -}}
{{- if .Values.image.digest -}}
{{ .Values.image.repository }}@{{ .Values.image.digest }}
{{- else -}}
{{ .Values.image.repository }}:{{ .Values.image.tag | default .Chart.AppVersion }}
{{- end -}}
{{- end -}}

{{- /* Where the lease is: beside the manager, or in the first of the namespaces that it works in. So two releases for one
namespace take turns, and two in one namespace do not wait for each other. */ -}}
{{- define "canaryrollout.leaseNamespace" -}}
{{- first .Values.watchNamespaces | default .Release.Namespace -}}
{{- end -}}

{{- /* How long passes may take to end: less than the grace period, so that the lease is given up before the process is killed. */ -}}
{{- define "canaryrollout.shutdownSeconds" -}}
{{- max 1 (sub (int .Values.terminationGracePeriodSeconds) 5) -}}
{{- end -}}

{{- /* The rules of a role of config/rbac. */ -}}
{{- define "canaryrollout.rules" -}}
{{- $role := .root.Files.Get (printf "files/rbac/%s.yaml" .role) | fromYaml -}}
rules:
{{ toYaml $role.rules }}
{{- end -}}

{{- /* How many pods the budget keeps in a drain. Kubernetes rounds what is in percent up. */ -}}
{{- define "canaryrollout.staying" -}}
{{- $minAvailable := .Values.podDisruptionBudget.minAvailable -}}
{{- if kindIs "string" $minAvailable -}}
{{- div (mul (trimSuffix "%" $minAvailable | atoi) .Values.replicas | add 99) 100 -}}
{{- else -}}
{{- int $minAvailable -}}
{{- end -}}
{{- end -}}

{{- /* What the schema of the values cannot say. */ -}}
{{- define "canaryrollout.validate" -}}
{{- if regexMatch "@|:[^/]*$|\\s" .Values.image.repository -}}
{{- fail (printf "image.repository is %q: say the tag in image.tag and the digest in image.digest" .Values.image.repository) -}}
{{- end -}}
{{- if and (not .Values.serviceAccount.create) (not .Values.serviceAccount.name) -}}
{{- fail "serviceAccount.create is false: say in serviceAccount.name which one the manager runs by" -}}
{{- end -}}
{{- $staying := include "canaryrollout.staying" . | int -}}
{{- if and .Values.podDisruptionBudget.enabled (gt (int .Values.replicas) 1) (ge $staying (int .Values.replicas)) -}}
{{- fail (printf "podDisruptionBudget.minAvailable is %v, so %d of %d replicas must stay: no node could be drained; give less" .Values.podDisruptionBudget.minAvailable $staying (int .Values.replicas)) -}}
{{- end -}}
{{- if and (or .Values.policies.commands .Values.policies.manager) (semverCompare "<1.30.0-0" .Capabilities.KubeVersion.Version) -}}
{{- fail (printf "policies take Kubernetes 1.30 or newer, and this is %s" .Capabilities.KubeVersion.Version) -}}
{{- end -}}
{{- if and .Values.policies.users (semverCompare "<1.36.0-0" .Capabilities.KubeVersion.Version) -}}
{{- fail (printf "policies.users takes Kubernetes 1.36 or newer, and this is %s" .Capabilities.KubeVersion.Version) -}}
{{- end -}}
{{- if and .Values.serviceMonitor.enabled (not .Values.metrics.enabled) -}}
{{- fail "serviceMonitor.enabled needs metrics.enabled: there is nothing to scrape" -}}
{{- end -}}
{{- if and .Values.dashboard.enabled (not .Values.dashboard.hosts) -}}
{{- fail "dashboard.enabled needs dashboard.hosts: the host names by which users open the page" -}}
{{- end -}}
{{- range .Values.extraArgs -}}
{{- $flag := . | trimPrefix "-" | trimPrefix "-" | splitList "=" | first -}}
{{- $value := get (dict "namespace" "watchNamespaces" "leader-election-namespace" "watchNamespaces" "leader-elect" "replicas" "shard" "shards" "shutdown-timeout" "terminationGracePeriodSeconds" "health-probe-bind-address" "none: probes are on port 8081" "metrics-bind-address" "metrics.enabled" "metrics-secure" "metrics.secure" "metrics-cert-dir" "metrics.certificateSecret" "probe-allow" "probeAllow" "metric-providers" "metricProviders" "notification-sinks" "notificationSinks" "allow-jobs" "allowJobs" "zap-log-level" "log.level" "zap-encoder" "log.encoder") $flag -}}
{{- if $value -}}
{{- fail (printf "extraArgs: the chart itself sets --%s; the value for it is %s" $flag $value) -}}
{{- end -}}
{{- end -}}
{{- end -}}
