{{/* The operator's configuration file. It refuses what it does not know. */}}
{{- define "blit.config" -}}
image: {{ include "blit.image" . | quote }}
imagePullSecrets: {{ toJson .Values.image.pullSecrets }}
watchNamespaces: {{ toJson .Values.watchNamespaces }}
clusterScoped: {{ include "blit.clusterScoped" . | eq "true" }}
mover:
  resources:
    {{- toYaml .Values.mover.resources | nindent 4 }}
  priorityClassName: {{ include "blit.moverPriorityClass" . | quote }}
  maxPerNode: {{ int .Values.mover.maxPerNode }}
  maxTotal: {{ int .Values.mover.maxTotal }}
hostPath:
  allow:
  {{- range .Values.hostPath.allow }}
    - prefix: {{ .prefix | quote }}
      namespaces: {{ toJson (.namespaces | default list) }}
      nodeSelector: {{ toJson (.nodeSelector | default dict) }}
      access: {{ .access | default "ReadOnly" }}
      specialFiles: {{ .specialFiles | default false }}
  {{- else }} []
  {{- end }}
podSecurity:
  maximum: {{ .Values.podSecurity.maximum }}
  namespaces: {{ toJson .Values.podSecurity.namespaces }}
transport:
  minimumEncryption: {{ .Values.transport.minimumEncryption }}
ports:
  control: {{ int .Values.ports.control }}
  data: {{ int .Values.ports.data }}
  metrics: {{ int .Values.ports.metrics }}
networkPolicy:
  enabled: {{ .Values.networkPolicy.enabled }}
  extraPeers: {{ toJson .Values.networkPolicy.extraPeers }}
leaderElection:
  enabled: {{ .Values.leaderElection.enabled }}
  leaseName: {{ .Values.leaderElection.leaseName | quote }}
{{- end }}
