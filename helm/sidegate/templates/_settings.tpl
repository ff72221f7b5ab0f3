{{/* What sidegate.yaml says: the values under `config`, and what the chart decides. */}}

{{- define "sidegate.settings" -}}
{{- $settings := deepCopy .Values.config -}}
{{- $address := printf "%s:%d" .Values.bindAddress (int .Values.ports.data) -}}
{{- $listen := get $settings "listen" | default dict -}}
{{- if .Values.secrets.tls.name -}}
{{- $tls := get $listen "tls" | default dict -}}
{{- $_ := set $tls "cert" "/etc/sidegate/secrets/tls.crt" -}}
{{- $_ := set $tls "key" "/etc/sidegate/secrets/tls.key" -}}
{{- if .Values.secrets.tls.clientCa -}}{{- $_ := set $tls "client_ca" "/etc/sidegate/secrets/client-ca.crt" -}}{{- end -}}
{{- $_ := set $listen "tls" $tls -}}
{{- end -}}
{{- if $listen -}}
{{- $_ := set $settings "listen" (set $listen "address" $address) -}}
{{- else -}}
{{- $_ := set $settings "listen" $address -}}
{{- end -}}
{{- $admin := ternary "127.0.0.1" .Values.bindAddress (eq .Values.admin.exposure "loopback") -}}
{{- $_ := set $settings "admin" (printf "%s:%d" $admin (int .Values.ports.admin)) -}}
{{- $_ := set $settings "routes" "routes.yaml" -}}
{{- if eq .Values.policy.source "configMap" -}}
{{- $_ := set $settings "policy" (merge (dict "source" "dir:/etc/sidegate/policy") (get $settings "policy" | default dict)) -}}
{{- end -}}
{{- $audit := get $settings "audit" | default dict -}}
{{- $_ := set $audit "spool" "/var/lib/sidegate/audit" -}}
{{- if .Values.secrets.checkpointKey.name -}}
{{- $checkpoint := get $audit "checkpoint" | default dict -}}
{{- $_ := set $checkpoint "key" "file:/etc/sidegate/secrets/checkpoint.key" -}}
{{- $_ := set $audit "checkpoint" $checkpoint -}}
{{- end -}}
{{- $_ := set $settings "audit" $audit -}}
{{- if and .Values.secrets.sessionSecret.name (dig "sessions" "signed" nil $settings) -}}
{{- $_ := set $settings.sessions.signed "secret_file" "/etc/sidegate/secrets/session.secret" -}}
{{- end -}}
{{- if and .Values.secrets.assertionKey.name (dig "forwarding" "assertion" nil $settings) -}}
{{- $_ := set $settings.forwarding.assertion "key" "file:/etc/sidegate/secrets/assertion.key" -}}
{{- end -}}
{{- toYaml $settings -}}
{{- end -}}

{{/* The size that the spool's volume needs, in MiB: full spools of every process, and what stays free. A volume that is
smaller fills before the spool's own limit holds, and the kubelet evicts a pod whose emptyDir is over its limit. */}}
{{- define "sidegate.spoolMiB" -}}
{{- $defaults := include "sidegate.defaults" . | fromJson -}}
{{- $workers := dig "workers" 1 .Values.config | int64 -}}
{{- $processes := ternary 1 (add $workers 1) (eq $workers 1) | int64 -}}
{{- $each := dig "audit" "max_bytes" $defaults.maxBytes .Values.config | int64 -}}
{{- $reserve := dig "audit" "reserve_bytes" $defaults.reserveBytes .Values.config | int64 -}}
{{- add (div (add (mul $each $processes) $reserve 1048575) 1048576) (int64 .Values.spool.extraMiB) -}}
{{- end -}}

{{/* Seconds from SIGTERM to SIGKILL: to drain, and to flush the spool and sign a checkpoint. */}}
{{- define "sidegate.graceSeconds" -}}
{{- $defaults := include "sidegate.defaults" . | fromJson -}}
{{- $drain := dig "limits" "drain_timeout_ms" $defaults.drainTimeoutMs .Values.config | int64 -}}
{{- add (div (add $drain 999) 1000) 5 -}}
{{- end -}}

{{/* Annotations that change when what a pod reads at its start changes. */}}
{{- define "sidegate.checksums" -}}
sidegate.dev/checksum-config: {{ list (include "sidegate.settings" .) .Values.routes .Values.files .Values.secrets | toJson | sha256sum }}
{{- if and (eq .Values.policy.source "configMap") (eq .Values.policy.rollout "restart") }}
sidegate.dev/checksum-policy: {{ toJson .Values.policy | sha256sum }}
{{- end }}
{{- end -}}
