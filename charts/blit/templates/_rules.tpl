{{/* What the operator may do where MirrorJobs are. */}}
{{- define "blit.namespacedRules" -}}
- apiGroups: [blit.dev]
  resources: [mirrorjobs]
  # delete: ttlSecondsAfterFinished
  verbs: [list, watch, patch, delete]
- apiGroups: [blit.dev]
  resources: [mirrorjobs/status]
  verbs: [patch]
- apiGroups: [blit.dev]
  resources: [mirrorjobs/finalizers]
  # Asked for by admission that protects owners, when a pod gets its owner.
  verbs: [update]
- apiGroups: [""]
  resources: [pods]
  verbs: [list, watch, create, patch, delete]
# One Secret for each mover. The operator can neither list nor read those of others.
- apiGroups: [""]
  resources: [secrets]
  verbs: [create, delete]
- apiGroups: [networking.k8s.io]
  resources: [networkpolicies]
  verbs: [create, delete]
- apiGroups: [""]
  resources: [persistentvolumeclaims]
  verbs: [get, create]
- apiGroups: [events.k8s.io]
  resources: [events]
  verbs: [create, patch]
{{- end }}

{{/* What placement reads outside namespaces. */}}
{{- define "blit.clusterRules" -}}
- apiGroups: [""]
  resources: [nodes]
  verbs: [get, list]
- apiGroups: [""]
  resources: [persistentvolumes]
  verbs: [get]
- apiGroups: [storage.k8s.io]
  resources: [storageclasses]
  verbs: [get]
- apiGroups: [storage.k8s.io]
  resources: [volumeattachments]
  verbs: [list]
{{- end }}
