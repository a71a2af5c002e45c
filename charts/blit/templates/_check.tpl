{{/* Combinations that the schema cannot judge and that could not work. */}}
{{- define "blit.check" -}}
{{- with $.Values -}}
{{- if and (gt (int .replicas) 1) (not .leaderElection.enabled) -}}
{{- fail "replicas is more than 1 but leaderElection.enabled is false, so several operators would work at once; set replicas to 1 or enable the election" -}}
{{- end -}}
{{- if and (not .rbac.clusterScoped) (not .watchNamespaces) -}}
{{- fail "rbac.clusterScoped is false but watchNamespaces is empty, which means all namespaces; name the namespaces or allow cluster-scoped objects" -}}
{{- end -}}
{{- $ports := list (int .ports.control) (int .ports.data) (int .ports.metrics) -}}
{{- if lt (len (uniq $ports)) 3 -}}
{{- fail (printf "ports.control, ports.data and ports.metrics are %d, %d and %d; give each a port of its own" (index $ports 0) (index $ports 1) (index $ports 2)) -}}
{{- end -}}
{{- $privileged := or (eq .podSecurity.maximum "Privileged") (has "Privileged" (values .podSecurity.namespaces)) -}}
{{- if and .hostPath.allow (not $privileged) -}}
{{- fail "hostPath.allow has entries but podSecurity lets no namespace be Privileged, which hostPath needs; raise podSecurity.maximum or name the namespaces in podSecurity.namespaces" -}}
{{- end -}}
{{- range .hostPath.allow -}}
{{- if and .nodeSelector (not $.Values.rbac.clusterScoped) -}}
{{- fail (printf "hostPath.allow selects nodes for %s, but rbac.clusterScoped is false, so their labels cannot be read; allow it or remove the nodeSelector" .prefix) -}}
{{- end -}}
{{- end -}}
{{- $watched := .watchNamespaces -}}
{{- if $watched -}}
{{- range .hostPath.allow -}}
{{- range .namespaces -}}
{{- if not (has . $watched) -}}
{{- fail (printf "hostPath.allow names the namespace %q, which is not in watchNamespaces; add it there or remove it here" .) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- range $namespace, $level := .podSecurity.namespaces -}}
{{- if not (has $namespace $watched) -}}
{{- fail (printf "podSecurity.namespaces names %q, which is not in watchNamespaces; add it there or remove it here" $namespace) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- end }}
