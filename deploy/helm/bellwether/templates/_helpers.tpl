{{- define "bellwether.fullname" -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride | trunc 52 | trimSuffix "-" -}}
{{- else -}}
{{- $name := default .Chart.Name .Values.nameOverride -}}
{{- if contains $name .Release.Name -}}
{{- .Release.Name | trunc 52 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name $name | trunc 52 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{- /* What pods are selected by: (list $ "central"). */ -}}
{{- define "bellwether.selector" -}}
{{- $root := index . 0 -}}
app.kubernetes.io/name: {{ default $root.Chart.Name $root.Values.nameOverride | quote }}
app.kubernetes.io/instance: {{ $root.Release.Name | quote }}
app.kubernetes.io/component: {{ index . 1 }}
{{- end -}}

{{- define "bellwether.labels" -}}
{{- $root := index . 0 -}}
{{ include "bellwether.selector" . }}
app.kubernetes.io/version: {{ $root.Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ $root.Release.Service }}
helm.sh/chart: {{ printf "%s-%s" $root.Chart.Name $root.Chart.Version | replace "+" "_" }}
{{- end -}}

{{- define "bellwether.image" -}}
{{ .Values.image.repository }}:{{ default .Chart.AppVersion .Values.image.tag }}
{{- end -}}

{{- /* An option's value as the daemon writes it; YAML has its own idea of on, and Helm of large numbers. */ -}}
{{- define "bellwether.value" -}}
{{- if kindIs "bool" . -}}
{{ . | ternary "on" "off" }}
{{- else if kindIs "float64" . -}}
{{ int64 . }}
{{- else -}}
{{ . }}
{{- end -}}
{{- end -}}

{{- /* What stands for every address, by the value ipFamily, with a space between two. */ -}}
{{- define "bellwether.everywhere" -}}
{{ get (dict "IPv4" "0.0.0.0" "IPv6" "[::]" "dual" "0.0.0.0 [::]") . }}
{{- end -}}

{{- /* What the chart itself writes into the configuration file: (list $ COMPONENT). */ -}}
{{- define "bellwether.own" -}}
{{- $values := (index . 0).Values -}}
{{- $central := eq (index . 1) "central" -}}
{{- $everywhere := include "bellwether.everywhere" $values.ipFamily | splitList " " -}}
{{- range $values.sentinels }}
sentinel = {{ . }}
{{- end }}
{{- range $values.masters }}
master = {{ . }}
{{- end }}
{{- range $side := list "redis" "sentinel" }}
{{- with index $values $side }}
{{- if .username }}
{{ $side }}-username = {{ .username }}
{{- end }}
{{- if .passwordSecret.name }}
{{ $side }}-password-file = /run/secrets/bellwether/{{ $side }}/{{ .passwordSecret.key }}
{{- end }}
{{- end }}
{{- if index $values.tls $side }}
{{ $side }}-tls = on
{{- end }}
{{- end }}
{{- with $values.tls }}
{{- if or .sentinel .redis }}
tls-verify = {{ .verify }}
{{- $secret := .secret }}
{{- range $option, $key := dict "tls-ca" .ca "tls-cert" .cert "tls-key" .key }}
{{- if and $secret $key }}
{{ $option }} = /run/secrets/bellwether/tls/{{ $key }}
{{- end }}
{{- end }}
{{- end }}
{{- end }}
{{- if $central }}
{{- $commands := or $values.commands.tokenSecret.name $values.commands.readOnlyTokenSecret.name }}
{{- range $everywhere }}
listen = {{ . }}:8380,scope={{ $commands | empty | ternary "discovery" "all" }}{{ $values.https.secret | empty | ternary "" ",tls" }}
{{- end }}
{{- if $values.https.secret }}
http-cert = /run/secrets/bellwether/https/tls.crt
http-key = /run/secrets/bellwether/https/tls.key
{{- end }}
{{- if $commands }}
redis-api = token
{{- end }}
{{- range $forward := $values.forwards }}
{{- range $everywhere }}
forward = {{ . }}:{{ int $forward.port }},to={{ default "master" $forward.to }}{{ with $forward.master }},name={{ . }}{{ end }}{{ if $forward.tls }},tls{{ end }}
{{- end }}
{{- end }}
{{- range $use, $secret := dict "token" $values.commands.tokenSecret "read-only-token" $values.commands.readOnlyTokenSecret }}
{{- if $secret.name }}
{{ $use }}-file = /run/secrets/bellwether/{{ $use }}/{{ $secret.key }}
{{- end }}
{{- end }}
{{- else }}
listen = 127.0.0.1:8380,scope=discovery
{{- end }}
{{- range $everywhere }}
listen = {{ . }}:8381,scope=probe
{{- end }}
{{- end -}}

{{- /* The configuration file: (list $ COMPONENT DEFAULTS), of which `config` takes the place. */ -}}
{{- define "bellwether.ini" -}}
{{- $own := include "bellwether.own" . -}}
{{- $config := (index . 0).Values.config -}}
{{ $own | trim }}
{{- range $option, $value := index . 2 }}
{{- if not (hasKey $config $option) }}
{{ $option }} = {{ $value }}
{{- end }}
{{- end }}
{{- range $option, $value := $config }}
{{- if and (ne $option "listen") (regexMatch (printf "(?m)^%s = " $option) $own) }}
{{- fail (printf "config.%s: the chart writes this option itself, out of its values beside config" $option) }}
{{- end }}
{{- range (kindIs "slice" $value | ternary $value (list $value)) }}
{{ $option }} = {{ include "bellwether.value" . }}
{{- end }}
{{- end }}
{{- end -}}

{{- /* What is mounted of Secrets, by what it is for; of a whole Secret there is no key: (list $ COMPONENT). */ -}}
{{- define "bellwether.secrets" -}}
{{- $values := (index . 0).Values -}}
{{- $all := dict "redis" $values.redis.passwordSecret "sentinel" $values.sentinel.passwordSecret "tls" (dict "name" $values.tls.secret) -}}
{{- if eq (index . 1) "central" -}}
{{- $all = merge $all (dict "https" (dict "name" $values.https.secret) "token" $values.commands.tokenSecret "read-only-token" $values.commands.readOnlyTokenSecret) -}}
{{- end -}}
{{- range $use, $secret := $all }}
{{- if $secret.name }}
{{ $use }}: {{ $secret | toJson }}
{{- end }}
{{- end }}
{{- end -}}

{{- define "bellwether.podSecurity" -}}
automountServiceAccountToken: false
enableServiceLinks: false
securityContext:
  runAsNonRoot: true
  {{- range $name := list "runAsUser" "runAsGroup" "fsGroup" }}
  {{- with index $.Values.securityContext $name }}
  {{ $name }}: {{ int64 . }}
  {{- end }}
  {{- end }}
  seccompProfile:
    type: RuntimeDefault
{{- end -}}

{{- define "bellwether.containerSecurity" -}}
runAsNonRoot: true
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities:
  drop:
    - ALL
seccompProfile:
  type: RuntimeDefault
{{- end -}}

{{- define "bellwether.placement" -}}
{{- $root := index . 0 -}}
{{- $component := index . 1 -}}
{{- with $root.Values.imagePullSecrets }}
imagePullSecrets: {{- toYaml . | nindent 2 }}
{{- end }}
{{- with $root.Values.priorityClassName }}
priorityClassName: {{ . | quote }}
{{- end }}
{{- with $root.Values.nodeSelector }}
nodeSelector: {{- toYaml . | nindent 2 }}
{{- end }}
{{- with $root.Values.tolerations }}
tolerations: {{- toYaml . | nindent 2 }}
{{- end }}
{{- with $root.Values.affinity }}
affinity: {{- toYaml . | nindent 2 }}
{{- end }}
{{- if $root.Values.topologySpread }}
topologySpreadConstraints:
{{- range list "topology.kubernetes.io/zone" "kubernetes.io/hostname" }}
  - maxSkew: 1
    topologyKey: {{ . }}
    whenUnsatisfiable: ScheduleAnyway
    labelSelector:
      matchLabels: {{- include "bellwether.selector" (list $root $component) | nindent 8 }}
{{- end }}
{{- end }}
{{- end -}}

{{- define "bellwether.mounts" -}}
- name: config
  mountPath: /etc/bellwether
  readOnly: true
{{- range $use, $secret := include "bellwether.secrets" . | fromYaml }}
- name: {{ $use }}
  mountPath: /run/secrets/bellwether/{{ $use }}
  readOnly: true
{{- end }}
{{- end -}}

{{- /* 288 is 0440 in octal: the group reads. (list $ COMPONENT CONFIGMAP) */ -}}
{{- define "bellwether.volumes" -}}
- name: config
  configMap:
    name: {{ index . 2 }}
{{- range $use, $secret := include "bellwether.secrets" . | fromYaml }}
- name: {{ $use }}
  secret:
    secretName: {{ $secret.name }}
    defaultMode: 288
    {{- with $secret.key }}
    items:
      - key: {{ . }}
        path: {{ . }}
    {{- end }}
{{- end }}
{{- end -}}

{{- /* What every container of the daemon has, arguments, probes, limits: (list $ COMPONENT). */ -}}
{{- define "bellwether.container" -}}
{{- $root := index . 0 -}}
image: {{ include "bellwether.image" $root }}
imagePullPolicy: {{ $root.Values.image.pullPolicy }}
args:
  - --config
  - /etc/bellwether/bellwether.ini
startupProbe:
  httpGet:
    path: /livez
    port: probe
  periodSeconds: 1
  failureThreshold: 30
livenessProbe:
  httpGet:
    path: /livez
    port: probe
  periodSeconds: 10
  timeoutSeconds: 5
resources: {{- toYaml $root.Values.resources | nindent 2 }}
securityContext: {{- include "bellwether.containerSecurity" . | nindent 2 }}
volumeMounts: {{- include "bellwether.mounts" . | nindent 2 }}
{{- end -}}

{{- /*
Two init containers for a pod of another chart that has this one as a dependency: one that waits for a master, and the daemon
as a sidecar on 127.0.0.1:8380.

  initContainers: {{- include "bellwether.sidecar" (dict "image" "bellwether:0.1.0" "sentinels" (list "sentinel-0:26379")) | nindent 4 }}

`args` are further arguments of both, `user` is whom they run as instead of 65532 (nil: the platform says), `ipFamily` is as in the values. The value `deploy: false` leaves out all that this chart makes by itself.
*/ -}}
{{- define "bellwether.sidecar" -}}
{{- $asked := list -}}
{{- range .sentinels }}{{- $asked = append $asked (printf "--sentinel=%s" .) }}{{- end -}}
{{- $asked = concat $asked (default (list) .args) -}}
{{- $stay := list "--listen=127.0.0.1:8380,scope=discovery" -}}
{{- range include "bellwether.everywhere" (default "IPv4" .ipFamily) | splitList " " }}{{- $stay = append $stay (printf "--listen=%s:8381,scope=probe" .) }}{{- end -}}
{{- $user := hasKey . "user" | ternary .user 65532 -}}
- name: wait-for-redis
  image: {{ .image }}
  args: {{- concat $asked (list "--once" "--wait=5m" "--format=text") | toYaml | nindent 4 }}
  resources:
    requests:
      cpu: 10m
      memory: 16Mi
    limits:
      memory: 64Mi
  securityContext: {{- include "bellwether.containerSecurity" . | nindent 4 }}
    {{- with $user }}
    runAsUser: {{ int64 . }}
    {{- end }}
- name: bellwether
  image: {{ .image }}
  restartPolicy: Always
  args: {{- concat $asked $stay (list "--max-connections=200" "--max-memory=16MiB") | toYaml | nindent 4 }}
  ports:
    - name: probe
      containerPort: 8381
  startupProbe:
    httpGet:
      path: /readyz
      port: probe
    periodSeconds: 1
    failureThreshold: 60
  livenessProbe:
    httpGet:
      path: /livez
      port: probe
    periodSeconds: 10
    timeoutSeconds: 5
  resources:
    requests:
      cpu: 10m
      memory: 16Mi
    limits:
      memory: 64Mi
  securityContext: {{- include "bellwether.containerSecurity" . | nindent 4 }}
    {{- with $user }}
    runAsUser: {{ int64 . }}
    {{- end }}
{{- end -}}
