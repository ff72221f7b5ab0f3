{{/* The container and its volumes, the same in a sidecar and in a release of its own. */}}

{{- define "sidegate.container" -}}
{{- $isSidecar := eq .Values.mode "sidecar" -}}
name: sidegate
image: {{ include "sidegate.image" . | quote }}
imagePullPolicy: {{ .Values.image.pullPolicy }}
args: [run]
{{- if and $isSidecar .Values.nativeSidecar }}
restartPolicy: Always
{{- end }}
env:
  - name: SIDEGATE_CONFIG
    value: /etc/sidegate/config/sidegate.yaml
{{- if eq .Values.policy.source "redis" }}
  - name: SIDEGATE_POLICY__SOURCE
    valueFrom:
      secretKeyRef:
        name: {{ .Values.secrets.policyUrl.name }}
        key: {{ .Values.secrets.policyUrl.key }}
{{- end }}
{{- range .Values.secrets.variables }}
  - name: {{ .variable }}
    valueFrom:
      secretKeyRef:
        name: {{ .name }}
        key: {{ .key }}
{{- end }}
{{- if eq .Values.spool.kind "claim" }}
  - name: POD_NAME
    valueFrom:
      fieldRef:
        fieldPath: metadata.name
{{- end }}
ports:
  - name: sidegate
    containerPort: {{ int .Values.ports.data }}
    protocol: TCP
{{- if eq .Values.admin.exposure "pod" }}
  - name: sidegate-admin
    containerPort: {{ int .Values.ports.admin }}
    protocol: TCP
{{- end }}
startupProbe:
  {{- include "sidegate.probe" (dict "root" . "path" "/readyz" "times" .Values.probes.startup) | nindent 2 }}
readinessProbe:
  {{- include "sidegate.probe" (dict "root" . "path" "/readyz" "times" .Values.probes.readiness) | nindent 2 }}
livenessProbe:
  {{- include "sidegate.probe" (dict "root" . "path" "/livez" "times" .Values.probes.liveness) | nindent 2 }}
{{- with .Values.resources }}
resources:
  {{- toYaml . | nindent 2 }}
{{- end }}
securityContext:
  runAsNonRoot: true
  runAsUser: 65532
  runAsGroup: 65532
  allowPrivilegeEscalation: false
  readOnlyRootFilesystem: true
  capabilities:
    drop: [ALL]
  seccompProfile:
    type: RuntimeDefault
volumeMounts:
  - name: sidegate-config
    mountPath: /etc/sidegate/config
    readOnly: true
{{- if eq .Values.policy.source "configMap" }}
  - name: sidegate-policy
    mountPath: /etc/sidegate/policy
    readOnly: true
{{- end }}
{{- if include "sidegate.secretSources" . }}
  - name: sidegate-secrets
    mountPath: /etc/sidegate/secrets
    readOnly: true
{{- end }}
  - name: sidegate-spool
    mountPath: /var/lib/sidegate
{{- if eq .Values.spool.kind "claim" }}
    # A spool belongs to one pod.
    subPathExpr: $(POD_NAME)
{{- end }}
{{- if and $isSidecar .Values.sidecar.hideServiceAccountToken }}
  # Where something is mounted already, no token is.
  - name: sidegate-no-token
    mountPath: /var/run/secrets/kubernetes.io/serviceaccount
    readOnly: true
{{- end }}
{{- end -}}

{{- define "sidegate.probe" -}}
{{- if eq .root.Values.admin.exposure "pod" -}}
httpGet:
  path: {{ .path }}
  port: {{ int .root.Values.ports.admin }}
{{- else -}}
exec:
  command: [/opt/sidegate/bin/python, -I, -m, sidegate.cli.health{{ if eq .path "/readyz" }}, --ready{{ end }}]
{{- end }}
{{ toYaml .times }}
{{- end -}}

{{- define "sidegate.secretSources" -}}
{{- $files := list
  (dict "reference" .Values.secrets.checkpointKey "path" "checkpoint.key")
  (dict "reference" .Values.secrets.sessionSecret "path" "session.secret")
  (dict "reference" .Values.secrets.assertionKey "path" "assertion.key")
-}}
{{- range $files }}
{{- if .reference.name }}
- secret:
    name: {{ .reference.name }}
    items:
      - key: {{ .reference.key }}
        path: {{ .path }}
{{- end }}
{{- end }}
{{- range .Values.secrets.files }}
- secret:
    name: {{ .name }}
    items:
      - key: {{ .key }}
        path: {{ .path }}
{{- end }}
{{- with .Values.secrets.tls }}
{{- if .name }}
- secret:
    name: {{ .name }}
    items:
      - key: tls.crt
        path: tls.crt
      - key: tls.key
        path: tls.key
      {{- if .clientCa }}
      - key: {{ .clientCa }}
        path: client-ca.crt
      {{- end }}
{{- end }}
{{- end }}
{{- end -}}

{{- define "sidegate.volumeList" -}}
- name: sidegate-config
  projected:
    sources:
      - configMap:
          name: {{ include "sidegate.fullname" . }}
{{- if .Values.routes.existingConfigMap }}
      - configMap:
          name: {{ .Values.routes.existingConfigMap }}
          items:
            - key: routes.yaml
              path: routes.yaml
{{- end }}
{{- if eq .Values.policy.source "configMap" }}
- name: sidegate-policy
  configMap:
    name: {{ default (printf "%s-policy" (include "sidegate.fullname" .)) .Values.policy.existingConfigMap }}
{{- end }}
{{- with include "sidegate.secretSources" . }}
- name: sidegate-secrets
  projected:
    {{- /* Files of a projected Secret belong to root. Standalone, fsGroup makes them readable by our group; in somebody
    else's pod it may not be set, and the volume is in our container alone. */}}
    defaultMode: {{ ternary "0440" "0444" (eq $.Values.mode "standalone") }}
    sources:
      {{- . | trim | nindent 6 }}
{{- end }}
- name: sidegate-spool
{{- if eq .Values.spool.kind "emptyDir" }}
  emptyDir:
    sizeLimit: {{ include "sidegate.spoolMiB" . }}Mi
{{- else if eq .Values.spool.kind "ephemeral" }}
  ephemeral:
    volumeClaimTemplate:
      spec:
        accessModes: [ReadWriteOnce]
        {{- with .Values.spool.storageClassName }}
        storageClassName: {{ . }}
        {{- end }}
        resources:
          requests:
            storage: {{ include "sidegate.spoolMiB" . }}Mi
{{- else }}
  persistentVolumeClaim:
    claimName: {{ .Values.spool.existingClaim }}
{{- end }}
{{- if and (eq .Values.mode "sidecar") .Values.sidecar.hideServiceAccountToken }}
- name: sidegate-no-token
  emptyDir:
    sizeLimit: 1Mi
{{- end }}
{{- end -}}
