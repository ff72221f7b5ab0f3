{{/* What to do next. A service's chart includes it in its own NOTES.txt, as those of dependencies are not shown. */}}

{{- define "sidegate.notes" -}}
{{- if .Values.injector.enabled -}}
{{- include "sidegate.injectorNotes" . -}}
{{- else -}}
{{- $name := include "sidegate.fullname" . -}}
{{- $selector := include "sidegate.podSelector" . | replace ": " "=" | replace "\n" "," | replace "\"" "" -}}
{{- $kubectl := printf "kubectl --namespace %s" .Release.Namespace -}}
{{- $pod := printf "deploy/%s" $name -}}
{{- if eq .Values.mode "sidecar" -}}{{- $pod = printf "$(%s get pod --selector %s --output name | head -n 1)" $kubectl $selector -}}{{- end -}}
Sidegate {{ .Chart.AppVersion }} stands before {{ .Values.config.upstream.url }}{{ if eq .Values.mode "sidecar" }} in each of its pods{{ end }}. The next three commands:

1. Wait until it is ready:

     {{ $kubectl }} wait pod --for=condition=Ready --timeout=120s --selector {{ $selector }}

   If it is not, its log names all that is wrong with the configuration, the routes and the policy, by file and line:
   {{ $kubectl }} logs --container sidegate --selector {{ $selector }}

2. Ask whether somebody may do something, and why:

     {{ $kubectl }} exec {{ $pod }} --container sidegate -- sidegate can user:ana read p1@main

3. Send requests to {{ if eq .Values.mode "sidecar" }}the service{{ else }}{{ ternary "https" "http" (ne .Values.secrets.tls.name "") }}://{{ $name }}.{{ .Release.Namespace }}:{{ int .Values.service.port }}{{ end }} (without a credential the answer is 401), and read what was decided:

     {{ $kubectl }} exec {{ $pod }} --container sidegate -- sidegate audit tail
{{ if not .Values.networkPolicy.enabled }}
WARNING: there is no NetworkPolicy: whoever reaches the service's own port goes around Sidegate.
{{- else if and (eq .Values.mode "standalone") (not .Values.networkPolicy.upstream.podLabels) }}
WARNING: nothing closes the way to the upstream that leads around Sidegate; set networkPolicy.upstream.podLabels.
{{- else if eq .Values.mode "sidecar" }}
The way around is closed in pods with these labels only; the list must not be empty:

     kubectl --namespace {{ .Release.Namespace }} get pods --selector {{ $selector }}
{{- end }}
{{- if and (eq .Values.spool.kind "emptyDir") (not (dig "audit" "sinks" list .Values.config)) }}

WARNING: the records of a pod are lost with it; set spool.kind, or ship them with config.audit.sinks.
{{- end }}
{{- end -}}
{{- end -}}

{{- define "sidegate.injectorNotes" -}}
{{- $name := include "sidegate.fullname" . -}}
{{- $selector := include "sidegate.injectorLabels" . | replace ": " "=" | replace "\n" "," | replace "\"" "" -}}
{{- $kubectl := printf "kubectl --namespace %s" .Release.Namespace -}}
The injector of Sidegate {{ .Chart.AppVersion }} puts a sidecar into pods that ask for one. The next three commands:

1. Wait until it is ready:

     {{ $kubectl }} wait pod --for=condition=Ready --timeout=120s --selector {{ $selector }}

   If it is not, see its log, and whether its certificate is there:
   {{ $kubectl }} get secret {{ include "sidegate.injectorSecret" . }}

2. Let it be asked in a namespace, here in the one called default:

     kubectl label namespace default sidegate.dev/injection=enabled

3. See what it would do to a workload, before it does; its pod template needs the annotations sidegate.dev/inject and sidegate.dev/config:

     kubectl --namespace default get deployments --output yaml | sidegate inject --enable --annotate config=datastore
{{ if eq .Values.injector.failurePolicy "Fail" }}
While it does not answer, pods with the annotation are not made; others are not held up{{ if semverCompare "<1.30.0-0" .Capabilities.KubeVersion.Version }} outside the labelled namespaces{{ end }}.
{{- else }}
WARNING: failurePolicy is Ignore: while it does not answer, pods with the annotation are made without a sidecar, and nothing stands before them.
{{- end }}
{{- end -}}
