{{/* Names are fixed: one lbctl serves a cluster, and policies know its accounts by name. */}}

{{/* Labels of every object. Takes the root. */}}
{{- define "lbctl.labels" -}}
app.kubernetes.io/name: lbctl
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
app.kubernetes.io/part-of: lbctl
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
{{- end }}

{{/* Labels that tell one component's pods. Takes (root, component). */}}
{{- define "lbctl.selector" -}}
app.kubernetes.io/name: lbctl
app.kubernetes.io/component: {{ index . 1 }}
{{- end }}

{{/* Annotations of what carries traffic: it outlives the release where that is wanted. Takes the root. */}}
{{- define "lbctl.keep" -}}
{{- if .Values.uninstall.keepTraffic }}
helm.sh/resource-policy: keep
{{- end }}
{{- end }}

{{/* Metadata of what carries traffic. Takes (root, name, "" for cluster-scoped). */}}
{{- define "lbctl.carrier" -}}
name: {{ index . 1 }}
{{- if not (and (eq (len .) 3) (eq (index . 2) "cluster")) }}
namespace: {{ (index . 0).Release.Namespace }}
{{- end }}
labels:
  {{- include "lbctl.labels" (index . 0) | nindent 2 }}
{{- with include "lbctl.keep" (index . 0) }}
annotations:
  {{- . | nindent 2 }}
{{- end }}
{{- end }}

{{/* The image of a component. Takes (root, component). */}}
{{- define "lbctl.image" -}}
{{- $root := index . 0 }}
{{- $component := index . 1 }}
{{- $own := (index $root.Values $component).image }}
{{- $tag := $root.Values.image.tag | default $root.Chart.AppVersion }}
{{- $own | default (printf "%s/lbctl-%s:%s" $root.Values.image.repository $component $tag) }}
{{- end }}

{{/* The agents' settings among the values, but for what each node has of its own. Takes the root. */}}
{{- define "lbctl.agent-settings" -}}
{{- toYaml (pick .Values.agent "backend" "bridge" "serviceInterface" "peers" "remoteMembers" "answerPing" "healthCheckNodePort" "stateDir" "livenessSeconds") }}
{{- end }}

{{/* The settings of lbctl among the values, as its settings file has them. Takes the root. */}}
{{- define "lbctl.settings" -}}
{{- $values := .Values }}
{{- $settings := pick $values "LbctlSettings" "NetworkSettings" "L4Settings" "ControllerSettings" "addressPools" "nameservice" }}
{{- $lease := merge (dict "namespace" .Release.Namespace) $values.lease }}
{{- $agent := include "lbctl.agent-settings" . | fromYaml }}
{{- $metrics := pick $values.metrics "enabled" "port" "agentPort" }}
{{- toYaml (merge (dict "lease" $lease "agent" $agent "metrics" $metrics) $settings) }}
{{- end }}

{{/*
Settings that a process reads at its start only, as a checksum on its pods: a change replaces them.
All others are taken over from the file. Takes (root, component).
*/}}
{{- define "lbctl.start-settings" -}}
{{- $values := (index . 0).Values }}
{{- $component := index . 1 }}
{{- $read := dict "clusterName" $values.LbctlSettings.clusterName "lease" $values.lease }}
{{- if eq $component "dns" }}
{{- $read = pick $values.nameservice "workers" "rateLimit" }}
{{- else if eq $component "agent" }}
{{- $read = dict "agent" (include "lbctl.agent-settings" (index . 0) | fromYaml) }}
{{- end }}
{{- $_ := set $read "metrics" $values.metrics.enabled }}
{{- toJson $read | sha256sum | trunc 16 }}
{{- end }}

{{/* Labels and annotations of a component's pods. Takes (root, component). */}}
{{- define "lbctl.pod-metadata" -}}
{{- $values := index (index . 0).Values (index . 1) }}
labels:
  {{- include "lbctl.selector" . | nindent 2 }}
  app.kubernetes.io/instance: {{ (index . 0).Release.Name }}
  app.kubernetes.io/part-of: lbctl
  {{- with $values.podLabels }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
annotations:
  lbctl.io/start-settings: {{ include "lbctl.start-settings" . | quote }}
  {{- with $values.podAnnotations }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
{{- end }}

{{/* Where a component's pods run, and what they pull with. Takes (root, component). */}}
{{- define "lbctl.placement" -}}
{{- $root := index . 0 }}
{{- $values := index $root.Values (index . 1) }}
{{- with $root.Values.image.pullSecrets }}
imagePullSecrets:
{{- range . }}
- name: {{ . }}
{{- end }}
{{- end }}
{{- with $values.priorityClassName }}
priorityClassName: {{ . }}
{{- end }}
{{- with $values.nodeSelector }}
nodeSelector:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with $values.tolerations }}
tolerations:
{{- toYaml . | nindent 0 }}
{{- end }}
{{- with $values.affinity }}
affinity:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with $values.spread }}
topologySpreadConstraints:
- maxSkew: 1
  topologyKey: {{ .topologyKey }}
  whenUnsatisfiable: {{ .whenUnsatisfiable }}
  labelSelector:
    matchLabels:
      {{- include "lbctl.selector" $ | nindent 6 }}
  matchLabelKeys: [pod-template-hash]
{{- end }}
{{- end }}

{{/* What a pod without rights on its node looks like. */}}
{{- define "lbctl.unprivileged-pod" -}}
runAsNonRoot: true
runAsUser: 65532
runAsGroup: 65532
fsGroup: 65532
seccompProfile: {type: RuntimeDefault}
{{- end }}

{{- define "lbctl.unprivileged-container" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities: {drop: [ALL]}
{{- end }}

{{/* A budget for drains. Takes (root, component). */}}
{{- define "lbctl.budget" -}}
{{- $root := index . 0 }}
{{- $component := index . 1 }}
{{- with (index $root.Values $component).podDisruptionBudget }}
{{- if .enabled }}
apiVersion: policy/v1
kind: PodDisruptionBudget
metadata:
  name: lbctl-{{ $component }}
  namespace: {{ $root.Release.Namespace }}
  labels:
    {{- include "lbctl.labels" $root | nindent 4 }}
spec:
  maxUnavailable: {{ .maxUnavailable }}
  # A pod that is not ready protects nothing and must not hold up a drain.
  unhealthyPodEvictionPolicy: AlwaysAllow
  selector:
    matchLabels:
      {{- include "lbctl.selector" (list $root $component) | nindent 6 }}
{{- end }}
{{- end }}
{{- end }}
