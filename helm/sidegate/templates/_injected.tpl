{{/* The sidecar as the injector puts it into pods: the same container and volumes as in a service's own chart, with what
the injector has to know to fit them to a pod. As JSON, read by `sidegate injector` and `sidegate inject --sidecar`. */}}

{{- define "sidegate.definition" -}}
{{- toPrettyJson (dict
  "native" .Values.nativeSidecar
  "bindAddress" .Values.bindAddress
  "adminAddress" (ternary "127.0.0.1" .Values.bindAddress (eq .Values.admin.exposure "loopback"))
  "ports" (dict "data" (int .Values.ports.data) "admin" (int .Values.ports.admin))
  "graceSeconds" (include "sidegate.graceSeconds" . | int)
  "container" (include "sidegate.container" . | fromYaml)
  "volumes" (include "sidegate.volumeList" . | fromYamlArray)
) -}}
{{- end -}}
