{{/* What is let out: what the settings name, as far as a policy can say it. Ports of policies are those of pods. */}}

{{- define "sidegate.egress" -}}
{{- $egress := .Values.networkPolicy.egress -}}
{{- $config := .Values.config -}}
{{- with $egress.dns }}
# Names.
- ports:
    - {protocol: UDP, port: 53}
    - {protocol: TCP, port: 53}
  to:
    {{- toYaml . | nindent 4 }}
{{- end }}
{{- if eq .Values.mode "standalone" }}
# The upstream: its pods, or those of this namespace.
- to:
    - podSelector:
        {{- with .Values.networkPolicy.upstream.podLabels }}
        matchLabels:
          {{- toYaml . | nindent 10 }}
        {{- else }} {}
        {{- end }}
{{- end }}
{{- range $port := include "sidegate.outsidePorts" . | fromJsonArray | uniq }}
# What is reached by its address over the network: the issuer's keys, collectors of records.
- ports:
    - {protocol: TCP, port: {{ int $port }}}
{{- end }}
{{- if include "sidegate.usesRedis" . }}
# Redis.
- ports:
    {{- range $egress.redisPorts }}
    - {protocol: TCP, port: {{ int . }}}
    {{- end }}
  {{- with $egress.redis }}
  to:
    {{- toYaml . | nindent 4 }}
  {{- end }}
{{- end }}
{{- with $egress.rules }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{/* Ports of https:// and nats:// addresses among the settings, as a list. */}}
{{- define "sidegate.outsidePorts" -}}
{{- $urls := list (dig "sessions" "signed" "jwks" "" .Values.config) -}}
{{- range (dig "audit" "sinks" list .Values.config) -}}
{{- $http := get . "http" -}}
{{- $urls = append $urls (ternary (get (ternary $http dict (kindIs "map" $http)) "url") $http (kindIs "map" $http)) -}}
{{- $urls = append $urls (get . "nats") -}}
{{- end -}}
{{- $ports := list -}}
{{- range $url := $urls -}}
{{- if and (kindIs "string" $url) (regexMatch "^(https|http|nats|tls)://" $url) -}}
{{- $default := ternary 4222 (ternary 80 443 (hasPrefix "http://" $url)) (or (hasPrefix "nats:" $url) (hasPrefix "tls:" $url)) -}}
{{- $host := (urlParse $url).host -}}
{{- $ports = append $ports (ternary (regexFind "[0-9]+$" $host | atoi) $default (regexMatch ":[0-9]+$" $host)) -}}
{{- end -}}
{{- end -}}
{{- toJson $ports -}}
{{- end -}}

{{/* Not empty if policy, sessions or records are in Redis. */}}
{{- define "sidegate.usesRedis" -}}
{{- $sinks := dig "audit" "sinks" list .Values.config -}}
{{- $isSink := false -}}
{{- range $sinks -}}{{- if hasKey . "redis" -}}{{- $isSink = true -}}{{- end -}}{{- end -}}
{{- range .Values.secrets.variables -}}{{- if has .variable (list "SIDEGATE_AUDIT__SINKS" "SIDEGATE_SESSIONS__REDIS" "SIDEGATE_POLICY__SOURCE") -}}{{- $isSink = true -}}{{- end -}}{{- end -}}
{{- if or $isSink (eq .Values.policy.source "redis") (dig "sessions" "redis" "" .Values.config) (eq (dig "sessions" "opaque" "store" "" .Values.config) "redis") -}}
yes
{{- end -}}
{{- end -}}
