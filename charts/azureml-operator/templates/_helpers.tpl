{{- define "azureml-operator.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 53 | trimSuffix "-" -}}
{{- end -}}

{{- define "azureml-operator.fullname" -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride | trunc 53 | trimSuffix "-" -}}
{{- else -}}
{{- $name := include "azureml-operator.name" . -}}
{{- if contains $name .Release.Name -}}
{{- .Release.Name | trunc 53 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name $name | trunc 53 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{- define "azureml-operator.serviceAccountName" -}}
{{- if .Values.serviceAccount.create -}}
{{- default (include "azureml-operator.fullname" .) .Values.serviceAccount.name -}}
{{- else -}}
{{- required "serviceAccount.name: which service account is it, if none is made?" .Values.serviceAccount.name -}}
{{- end -}}
{{- end -}}

{{- define "azureml-operator.selectorLabels" -}}
app.kubernetes.io/name: {{ include "azureml-operator.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{- define "azureml-operator.labels" -}}
{{ include "azureml-operator.selectorLabels" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
app.kubernetes.io/part-of: azureml-operator
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
{{- with .Values.commonLabels }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{/* The metadata that all objects have: (dict "root" $ "name" "…" "annotations" (dict …)), with "scope" "cluster" for what
lies in no namespace: some tools take a namespace there for a difference. */}}
{{- define "azureml-operator.metadata" -}}
name: {{ .name }}
{{- if ne (.scope | default "") "cluster" }}
namespace: {{ .namespace | default .root.Release.Namespace }}
{{- end }}
labels:
  {{- include "azureml-operator.labels" .root | nindent 2 }}
  {{- with .labels }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
{{- with merge (dict) (.annotations | default dict) .root.Values.commonAnnotations }}
annotations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end -}}

{{/* The rules for the custom resources, Secrets and events: in the whole cluster, or in each namespace. */}}
{{- define "azureml-operator.rules" -}}
# The manifests. Patch is for the finalizer alone.
- apiGroups: [azureml.dev]
  resources: [workspaces, computeclusters]
  verbs: [list, watch, patch]
# Read again when an edit comes between a write to Azure and the record of its outcome.
- apiGroups: [azureml.dev]
  resources: [computeclusters]
  verbs: [get]
- apiGroups: [azureml.dev]
  resources: [workspaces/status, computeclusters/status]
  verbs: [update]
# Who may put a finalizer on an object, where the API server checks that.
- apiGroups: [azureml.dev]
  resources: [workspaces/finalizers, computeclusters/finalizers]
  verbs: [update]
# Credentials and passwords that manifests name; patch holds a credential while a Workspace still needs it.
- apiGroups: [""]
  resources: [secrets]
  verbs: [get, patch]
- apiGroups: [events.k8s.io]
  resources: [events]
  verbs: [create, patch]
{{- end -}}

{{/* The name of the Lease: a shard has its own. */}}
{{- define "azureml-operator.lease" -}}
{{- $name := include "azureml-operator.fullname" . -}}
{{- if .Values.operator.shard -}}
{{- printf "%s-%s" $name .Values.operator.shard -}}
{{- else -}}
{{- $name -}}
{{- end -}}
{{- end -}}
