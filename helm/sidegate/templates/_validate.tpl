{{/* What a schema cannot say. Everything that is wrong is said at once, with what to do next. */}}

{{- define "sidegate.validate" -}}
{{- $problems := list -}}
{{- $isSidecar := eq .Values.mode "sidecar" -}}
{{- $algorithms := dig "sessions" "signed" "algorithms" list .Values.config -}}
{{- if .Values.injector.enabled -}}
{{- $problems = concat $problems (include "sidegate.injectorProblems" . | fromJsonArray) -}}
{{- else -}}
{{- if not (dig "upstream" "url" "" .Values.config) -}}
{{- $problems = append $problems (ternary "config.upstream.url is missing; write where the service listens in its pod, e.g. http://127.0.0.1:9000" "config.upstream.url is missing; write the address of the service behind, e.g. http://datastore:9000" $isSidecar) -}}
{{- end -}}
{{- if and .Values.routes.text .Values.routes.existingConfigMap -}}
{{- $problems = append $problems "routes.text and routes.existingConfigMap are both given; keep one" -}}
{{- else if not (or .Values.routes.text .Values.routes.existingConfigMap) -}}
{{- $problems = append $problems "routes.text is missing; pass the file: --set-file routes.text=routes.yaml" -}}
{{- end -}}
{{- if eq .Values.policy.source "redis" -}}
{{- if or .Values.policy.files .Values.policy.existingConfigMap -}}
{{- $problems = append $problems "policy.source is redis, but there are policy files too; remove them, or write configMap" -}}
{{- end -}}
{{- if not .Values.secrets.policyUrl.name -}}
{{- $problems = append $problems "policy.source is redis, but secrets.policyUrl.name is empty; name the Secret that holds its address" -}}
{{- end -}}
{{- else if and .Values.policy.files .Values.policy.existingConfigMap -}}
{{- $problems = append $problems "policy.files and policy.existingConfigMap are both given; keep one" -}}
{{- else if not (or .Values.policy.files .Values.policy.existingConfigMap) -}}
{{- $problems = append $problems "policy.files is empty; pass a file per organization: --set-file policy.files.acme=policy/acme.yaml" -}}
{{- end -}}
{{- end -}}
{{- /* The API server takes at most 1 MiB of data in one ConfigMap. */ -}}
{{- if gt (len (toJson .Values.policy.files)) 1000000 -}}
{{- $problems = append $problems "policy.files is larger than a ConfigMap can be (1 MiB); publish the policy to Redis" -}}
{{- end -}}
{{- if gt (add (len .Values.routes.text) (len (toJson .Values.files))) 900000 -}}
{{- $problems = append $problems "routes.text and files together are larger than a ConfigMap can be (1 MiB); use routes.existingConfigMap" -}}
{{- end -}}
{{- range $name, $text := .Values.files -}}
{{- if contains "PRIVATE KEY" $text -}}
{{- $problems = append $problems (printf "files.%s holds a private key; make a Secret of it and name that under secrets" $name) -}}
{{- end -}}
{{- if or (eq $name "sidegate.yaml") (eq $name "routes.yaml") -}}
{{- $problems = append $problems (printf "files.%s is made by the chart; use config and routes" $name) -}}
{{- end -}}
{{- end -}}
{{- if regexMatch "://[^/\"]*@" (toJson .Values.config) -}}
{{- $problems = append $problems "config holds an address with a password in it; make a Secret of it and name that under secrets.variables" -}}
{{- end -}}
{{- if and (has "HS256" $algorithms) (not .Values.secrets.sessionSecret.name) -}}
{{- $problems = append $problems "config.sessions.signed.algorithms has HS256, but secrets.sessionSecret.name is empty; name the Secret that holds it" -}}
{{- end -}}
{{- if and .Values.secrets.sessionSecret.name (not (has "HS256" $algorithms)) -}}
{{- $problems = append $problems "secrets.sessionSecret is named, but config.sessions.signed.algorithms has no HS256; give both, or neither" -}}
{{- end -}}
{{- if and .Values.secrets.assertionKey.name (not (dig "forwarding" "assertion" nil .Values.config)) -}}
{{- $problems = append $problems "secrets.assertionKey is named, but config.forwarding.assertion is missing; add it, e.g. {issuer: sidegate}" -}}
{{- end -}}
{{- if and (dig "forwarding" "assertion" nil .Values.config) (not .Values.secrets.assertionKey.name) -}}
{{- $problems = append $problems "config.forwarding.assertion needs a key; name its Secret in secrets.assertionKey" -}}
{{- end -}}
{{- if and (dig "listen" "tls" nil .Values.config) (not .Values.secrets.tls.name) -}}
{{- $problems = append $problems "config.listen.tls is given, but secrets.tls.name is empty; name the Secret that holds certificate and key" -}}
{{- end -}}
{{- if and .Values.secrets.tls.name (has "h2c" (dig "listen" "protocols" list .Values.config)) -}}
{{- $problems = append $problems "config.listen.protocols names h2c, but with secrets.tls clients speak TLS; write h2" -}}
{{- end -}}
{{- if and (eq (dig "listen" "proxy_protocol" "off" .Values.config) "required") (not .Values.config.trusted_proxies) -}}
{{- $problems = append $problems "config.listen.proxy_protocol is required, but nobody is trusted to speak it; name the networks of your load balancers in config.trusted_proxies" -}}
{{- end -}}
{{- if eq (int .Values.ports.data) (int .Values.ports.admin) -}}
{{- $problems = append $problems "ports.data and ports.admin are the same; choose two" -}}
{{- end -}}
{{- if and (eq .Values.admin.exposure "pod") (not .Values.networkPolicy.enabled) (not .Values.networkPolicy.managedElsewhere) -}}
{{- $problems = append $problems "networkPolicy.enabled is false, so that every pod of the cluster can ask the admin port; set admin.exposure=loopback, or networkPolicy.managedElsewhere=true if a policy of yours closes it" -}}
{{- end -}}
{{- if and .Values.networkPolicy.egress.rules (not .Values.networkPolicy.egress.restrict) -}}
{{- $problems = append $problems "networkPolicy.egress.rules let something out, but nothing is held back; set networkPolicy.egress.restrict=true, or take them away" -}}
{{- end -}}
{{- if and .Values.networkPolicy.egress.restrict (not .Values.networkPolicy.enabled) -}}
{{- $problems = append $problems "networkPolicy.egress.restrict is true, but networkPolicy.enabled is false; turn it on" -}}
{{- end -}}
{{- $taken := list "checkpoint.key" "session.secret" "assertion.key" "tls.crt" "tls.key" "client-ca.crt" -}}
{{- range .Values.secrets.files -}}
{{- if has .path $taken -}}
{{- $problems = append $problems (printf "secrets.files names the path %s, which is taken; choose another one" .path) -}}
{{- end -}}
{{- $taken = append $taken .path -}}
{{- end -}}
{{- if and (eq .Values.admin.exposure "loopback") (or .Values.podMonitor.enabled .Values.serviceMonitor.enabled) -}}
{{- $problems = append $problems "admin.exposure is loopback, where nothing can be scraped; set admin.exposure=pod, or turn podMonitor and serviceMonitor off" -}}
{{- end -}}
{{- if and .Values.podMonitor.enabled .Values.serviceMonitor.enabled -}}
{{- $problems = append $problems "podMonitor and serviceMonitor are both enabled, so that everything would be counted twice; keep one" -}}
{{- end -}}
{{- if and (eq .Values.spool.kind "claim") (not .Values.spool.existingClaim) -}}
{{- $problems = append $problems "spool.kind is claim, but spool.existingClaim is empty; name the PersistentVolumeClaim" -}}
{{- end -}}
{{- if and .Values.alerts.enabled (not (.Files.Get "files/alerts.yaml")) -}}
{{- $problems = append $problems "alerts.enabled is true, but this chart was packaged without files/alerts.yaml; turn it off, or package it again" -}}
{{- end -}}
{{- if and .Values.dashboards.enabled (not (.Files.Glob "files/dashboards/*.json")) -}}
{{- $problems = append $problems "dashboards.enabled is true, but this chart was packaged without files/dashboards; turn it off, or package it again" -}}
{{- end -}}
{{- if $isSidecar -}}
{{- if and .Values.nativeSidecar (semverCompare "<1.29.0-0" .Capabilities.KubeVersion.Version) -}}
{{- $problems = append $problems (printf "Kubernetes %s has no native sidecars; set nativeSidecar=false" .Capabilities.KubeVersion.Version) -}}
{{- end -}}
{{- if .Values.serviceMonitor.enabled -}}
{{- $problems = append $problems "serviceMonitor is for a standalone release; use podMonitor for sidecars" -}}
{{- end -}}
{{- if .Values.networkPolicy.upstream.podLabels -}}
{{- $problems = append $problems "networkPolicy.upstream.podLabels is for a standalone release; a sidecar and its upstream are one pod" -}}
{{- end -}}
{{- else -}}
{{- $many := or .Values.autoscaling.enabled (gt (int .Values.replicaCount) 1) -}}
{{- if and $many (hasKey (get .Values.config "sessions" | default dict) "opaque") (ne (dig "sessions" "opaque" "store" "memory" .Values.config) "redis") -}}
{{- $problems = append $problems "config.sessions.opaque keeps sessions in the memory of one pod, but there are several; set store: redis, or replicaCount=1" -}}
{{- end -}}
{{- if and .Values.autoscaling.enabled (not (dig "requests" "cpu" "" .Values.resources)) -}}
{{- $problems = append $problems "autoscaling goes by the requested CPU, but resources.requests.cpu is missing; write one" -}}
{{- end -}}
{{- if and .Values.autoscaling.enabled (gt (int .Values.autoscaling.minReplicas) (int .Values.autoscaling.maxReplicas)) -}}
{{- $problems = append $problems "autoscaling.minReplicas is more than maxReplicas; write at most that" -}}
{{- end -}}
{{- end -}}
{{- if $problems -}}
{{- fail (printf "\n\nsidegate: these values cannot be used:\n  - %s\n" (join "\n  - " $problems)) -}}
{{- end -}}
{{- end -}}

{{/* What is wrong with the values of an injector, as a list. */}}
{{- define "sidegate.injectorProblems" -}}
{{- $problems := list -}}
{{- $tls := .Values.injector.tls -}}
{{- if ne .Values.mode "sidecar" -}}
{{- $problems = append $problems "injector.enabled makes this release the injector, but mode is standalone; set mode=sidecar" -}}
{{- end -}}
{{- if or .Values.config.upstream .Values.routes.text .Values.routes.existingConfigMap .Values.policy.files .Values.policy.existingConfigMap -}}
{{- $problems = append $problems "config.upstream, routes and policy are those of each service, in ConfigMaps that its pods name; take them out of the injector's values" -}}
{{- end -}}
{{- if .Values.files -}}
{{- $problems = append $problems "files are those of each service, in the ConfigMap that its pods name; take them out of the injector's values" -}}
{{- end -}}
{{- if and $tls.certManager.enabled (not $tls.certManager.issuerName) -}}
{{- $problems = append $problems "injector.tls.certManager.enabled is true, but issuerName is empty; name the issuer" -}}
{{- end -}}
{{- if and $tls.certManager.enabled $tls.caBundle -}}
{{- $problems = append $problems "injector.tls.caBundle stands beside certManager, which puts it in; take it out" -}}
{{- end -}}
{{- if not (or $tls.certManager.enabled $tls.secretName) -}}
{{- $problems = append $problems "injector.tls.secretName is empty; name a Secret of type kubernetes.io/tls, or set injector.tls.certManager.enabled=true" -}}
{{- end -}}
{{- if contains "PRIVATE KEY" $tls.caBundle -}}
{{- $problems = append $problems "injector.tls.caBundle holds a private key; write the certificate alone" -}}
{{- end -}}
{{- if eq (int .Values.injector.port) (int .Values.ports.admin) -}}
{{- $problems = append $problems "injector.port and ports.admin are the same; choose two" -}}
{{- end -}}
{{- if .Values.serviceMonitor.enabled -}}
{{- $problems = append $problems "serviceMonitor is for a standalone release; use podMonitor for the injector" -}}
{{- end -}}
{{- toJson $problems -}}
{{- end -}}
