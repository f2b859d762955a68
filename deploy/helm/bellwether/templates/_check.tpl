{{- /* What values say of each other and a schema can't: each refusal begins with the value's name. */ -}}
{{- define "bellwether.check" -}}
{{- $values := .Values -}}
{{- $name := include "bellwether.fullname" . -}}
{{- if or (not (regexMatch "^[a-z]([a-z0-9-]*[a-z0-9])?$" $name)) (has $name (list "y" "n" "yes" "no" "on" "off" "true" "false" "null")) -}}
{{- fail (printf "fullnameOverride: %q, out of the release's name, can't be the name of a Service" $name) -}}
{{- end -}}
{{- /* ---- ports ---- */ -}}
{{- $names := list -}}
{{- $ports := list 8380 8381 -}}
{{- range $i, $forward := $values.forwards -}}
{{- $port := int .port -}}
{{- if has .name $names -}}
{{- fail (printf "forwards[%d].name: %s is the name of another one" $i .name) -}}
{{- else if has $port $ports -}}
{{- fail (printf "forwards[%d].port: %d is the port of another one" $i $port) -}}
{{- else if eq $port (int $values.service.port) -}}
{{- fail (printf "forwards[%d].port: %d is service.port" $i $port) -}}
{{- else if and .tls (not $values.https.secret) -}}
{{- fail (printf "forwards[%d].tls: https.secret has no certificate for it" $i) -}}
{{- else if and .master $values.masters (not (has .master $values.masters)) -}}
{{- fail (printf "forwards[%d].master: %s is not among masters" $i .master) -}}
{{- else if and (not .master) (gt (len $values.masters) 1) -}}
{{- fail (printf "forwards[%d].master: there are %d masters, one of which it takes" $i (len $values.masters)) -}}
{{- end -}}
{{- $names = append $names .name -}}
{{- $ports = append $ports $port -}}
{{- end -}}
{{- range $option := list "listen" "forward" -}}
{{- $value := default list (get $values.config $option) -}}
{{- range $place := kindIs "slice" $value | ternary $value (list $value) -}}
{{- $port := regexFind ":[0-9]+(,|$)" (toString $place) | trimPrefix ":" | trimSuffix "," -}}
{{- if has (atoi $port) $ports -}}
{{- fail (printf "config.%s: port %s is listened on already" $option $port) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- /* ---- certificates and tokens ---- */ -}}
{{- with $values.tls -}}
{{- if and .cert (not .key) -}}
{{- fail "tls.key: tls.cert has a key, too" -}}
{{- else if and .key (not .cert) -}}
{{- fail "tls.cert: tls.key has a certificate, too" -}}
{{- else if and .cert (not .secret) -}}
{{- fail "tls.secret: tls.cert is a key in it" -}}
{{- end -}}
{{- end -}}
{{- with $values.commands -}}
{{- if and .tokenSecret.name (eq (toJson .tokenSecret) (toJson .readOnlyTokenSecret)) -}}
{{- fail "commands.readOnlyTokenSecret: it is commands.tokenSecret" -}}
{{- end -}}
{{- end -}}
{{- end -}}
