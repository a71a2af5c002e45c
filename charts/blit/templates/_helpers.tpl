{{/* Name of everything in the release's own namespace; short enough for the longest suffix. */}}
{{- define "blit.name" -}}
{{- $name := ternary .Release.Name (printf "%s-blit" .Release.Name) (contains "blit" .Release.Name) -}}
{{- printf "%s-operator" ($name | trunc 40 | trimSuffix "-") -}}
{{- end }}

{{/* Name of what lies outside that namespace. Installs for some namespaces can stand beside each other. */}}
{{- define "blit.clusterName" -}}
{{- if .Values.watchNamespaces -}}
{{ include "blit.name" . }}-{{ .Release.Namespace }}
{{- else -}}
{{ include "blit.name" . }}
{{- end -}}
{{- end }}

{{/* Labels of the operator's pods. The NetworkPolicies of movers rely on the first two. */}}
{{- define "blit.selectorLabels" -}}
app.kubernetes.io/name: blit
app.kubernetes.io/component: operator
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{- define "blit.labels" -}}
{{ include "blit.selectorLabels" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ .Chart.Name }}-{{ .Chart.Version | replace "+" "_" }}
{{- end }}

{{- define "blit.image" -}}
{{- with .Values.image -}}
{{- if .digest -}}
{{ .repository }}@{{ .digest }}
{{- else -}}
{{ .repository }}:{{ .tag | default $.Chart.AppVersion }}
{{- end -}}
{{- end -}}
{{- end }}

{{/* Whether the release may have objects outside namespaces. */}}
{{- define "blit.clusterScoped" -}}
{{- if or (not .Values.watchNamespaces) .Values.rbac.clusterScoped }}true{{ end -}}
{{- end }}

{{/* Priority class of movers whose MirrorJob names none: the chart's own, which never preempts, unless values name one. */}}
{{- define "blit.moverPriorityClass" -}}
{{- if .Values.mover.priorityClassName }}
{{- .Values.mover.priorityClassName }}
{{- else if include "blit.clusterScoped" . }}
{{- include "blit.clusterName" . }}-mover
{{- end }}
{{- end }}
