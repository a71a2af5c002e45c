{{/* What the operator may do where MirrorJobs are. */}}
{{- define "blit.namespacedRules" -}}
- apiGroups: [blit.dev]
  resources: [mirrorjobs]
  # delete: ttlSecondsAfterFinished
  verbs: [get, list, watch, patch, delete]
- apiGroups: [blit.dev]
  resources: [mirrorjobs/status]
  verbs: [patch]
- apiGroups: [blit.dev]
  resources: [mirrorjobs/finalizers]
  verbs: [update]
- apiGroups: [""]
  resources: [pods]
  verbs: [get, list, watch, create, patch, delete]
# One Secret for each mover. The operator can neither list nor read those of others.
- apiGroups: [""]
  resources: [secrets]
  verbs: [create, delete]
- apiGroups: [networking.k8s.io]
  resources: [networkpolicies]
  verbs: [get, create, delete]
- apiGroups: [""]
  resources: [persistentvolumeclaims]
  verbs: [get, list, watch, create]
- apiGroups: [events.k8s.io]
  resources: [events]
  verbs: [create, patch]
{{- end }}

{{/* What placement reads outside namespaces. */}}
{{- define "blit.clusterRules" -}}
- apiGroups: [""]
  resources: [nodes, persistentvolumes]
  verbs: [get, list, watch]
- apiGroups: [storage.k8s.io]
  resources: [storageclasses, volumeattachments]
  verbs: [get, list, watch]
{{- end }}
