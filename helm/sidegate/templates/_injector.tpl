{{/* Names of the injector: a release of its own, with `injector.enabled` and `mode: sidecar`. */}}

{{- define "sidegate.injectorLabels" -}}
{{ include "sidegate.selectorLabels" . }}
app.kubernetes.io/component: injector
{{- end -}}

{{- define "sidegate.injectorHost" -}}
{{- printf "%s.%s.svc" (include "sidegate.fullname" .) .Release.Namespace -}}
{{- end -}}

{{/* The Secret with its certificate: of yours, or made by cert-manager. */}}
{{- define "sidegate.injectorSecret" -}}
{{- default (printf "%s-tls" (include "sidegate.fullname" .)) .Values.injector.tls.secretName -}}
{{- end -}}
