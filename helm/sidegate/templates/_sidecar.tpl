{{/*
For the chart of a service that has this one as a dependency with `mode: sidecar`. Each takes `.Subcharts.sidegate`:

    metadata:
      labels:
        {{- include "sidegate.podLabels" .Subcharts.sidegate | nindent 8 }}
      annotations:
        {{- include "sidegate.podAnnotations" .Subcharts.sidegate | nindent 8 }}
    spec:
      {{- include "sidegate.podSpec" .Subcharts.sidegate | nindent 6 }}
      initContainers:
        {{- include "sidegate.initContainers" .Subcharts.sidegate | nindent 8 }}
      containers:
        {{- include "sidegate.containers" .Subcharts.sidegate | nindent 8 }}
        - name: …
      volumes:
        {{- include "sidegate.volumes" .Subcharts.sidegate | nindent 8 }}

With `nativeSidecar` the container is among the init containers, otherwise among the containers; the other include is
then empty (leave `initContainers:` out if you have none of your own). Your own init containers may stand before it or after it: those after it start once it is ready.
*/}}

{{- define "sidegate.podLabels" -}}
{{- include "sidegate.requireSidecar" . -}}
sidegate.dev/sidecar: {{ include "sidegate.fullname" . }}
{{- end -}}

{{- define "sidegate.podAnnotations" -}}
{{- include "sidegate.requireSidecar" . -}}
{{ include "sidegate.checksums" . }}
{{- end -}}

{{/* Of the whole pod. Variables that Kubernetes makes for Services called sidegate… would be taken for settings, and
refused. The sidecar ends after the service: the pod has to have time for both. */}}
{{- define "sidegate.podSpec" -}}
{{- include "sidegate.requireSidecar" . -}}
enableServiceLinks: false
terminationGracePeriodSeconds: {{ add (int64 .Values.sidecar.serviceGraceSeconds) (include "sidegate.graceSeconds" .) }}
{{- end -}}

{{- define "sidegate.initContainers" -}}
{{- include "sidegate.requireSidecar" . -}}
{{- if .Values.nativeSidecar -}}
-
  {{- include "sidegate.container" . | nindent 2 }}
{{- end -}}
{{- end -}}

{{- define "sidegate.containers" -}}
{{- include "sidegate.requireSidecar" . -}}
{{- if not .Values.nativeSidecar -}}
-
  {{- include "sidegate.container" . | nindent 2 }}
{{- end -}}
{{- end -}}

{{- define "sidegate.volumes" -}}
{{- include "sidegate.requireSidecar" . -}}
{{- include "sidegate.volumeList" . -}}
{{- end -}}

{{/* The port that the service's own Service has to lead to: a number, because named ports of native sidecars are found by
Services only from Kubernetes 1.32 on. */}}
{{- define "sidegate.targetPort" -}}
{{- int .Values.ports.data -}}
{{- end -}}

{{- define "sidegate.requireSidecar" -}}
{{- include "sidegate.validate" . -}}
{{- if .Values.injector.enabled -}}
{{- fail "\n\nsidegate: its templates were included in a pod, but injector.enabled is true; install the injector as a release of its own\n" -}}
{{- end -}}
{{- if ne .Values.mode "sidecar" -}}
{{- fail "\n\nsidegate: its templates were included in a pod, but mode is standalone; set sidegate.mode=sidecar\n" -}}
{{- end -}}
{{- end -}}
