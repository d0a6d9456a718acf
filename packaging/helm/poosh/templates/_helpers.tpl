{{- define "poosh.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 50 | trimSuffix "-" -}}
{{- end -}}

{{/* The name of all objects; services add a word to it. */}}
{{- define "poosh.fullname" -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride | trunc 50 | trimSuffix "-" -}}
{{- else if contains (include "poosh.name" .) .Release.Name -}}
{{- .Release.Name | trunc 50 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name (include "poosh.name" .) | trunc 50 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}

{{- define "poosh.selector" -}}
app.kubernetes.io/name: {{ include "poosh.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{- define "poosh.labels" -}}
{{ include "poosh.selector" . }}
app.kubernetes.io/version: {{ .Values.image.tag | default .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
{{- end -}}

{{- define "poosh.secret" -}}
{{- .Values.secret.existingSecret | default (include "poosh.fullname" .) -}}
{{- end -}}

{{- define "poosh.serviceAccount" -}}
{{- if .Values.serviceAccount.create -}}
{{- .Values.serviceAccount.name | default (include "poosh.fullname" .) -}}
{{- else -}}
{{- .Values.serviceAccount.name | default "default" -}}
{{- end -}}
{{- end -}}

{{- define "poosh.claim" -}}
{{- .Values.persistence.existingClaim | default (include "poosh.fullname" .) -}}
{{- end -}}

{{/* Where probes ask: the port of operators, which answers when others are full and speaks no TLS, or one with the same paths. */}}
{{- define "poosh.probed" -}}
{{- if .Values.ports.admin -}}
port: admin
{{- else if or .Values.ports.client .Values.ports.pusher -}}
port: {{ ternary "client" "pusher" (gt (int .Values.ports.client) 0) }}
scheme: {{ ternary "HTTPS" "HTTP" (or (hasKey .Values.settings "TLS_CERT") (hasKey .Values.settings "TLS_DOMAINS")) }}
{{- else -}}
{{- fail "ports: want admin, client or pusher, which have /live and /ready for the probes" -}}
{{- end -}}
{{- end -}}

{{/* What the schema cannot say. */}}
{{- define "poosh.check" -}}
{{- $s := .Values.shutdown -}}
{{- if gt (add $s.drainDelay (div (add (mul $s.drainTime 4) 2) 3)) (int64 $s.timeout) -}}
{{- fail (printf "shutdown: want timeout to be drainDelay and four thirds of drainTime at least, and %v is not" $s.timeout) -}}
{{- end -}}
{{- if not .Values.secret.existingSecret -}}
{{- if not .Values.secret.values -}}
{{- fail "secret: want values with SERVER_SECRET or those of another dialect, or existingSecret" -}}
{{- end -}}
{{- if and .Values.ports.admin (lt (len (.Values.secret.values.ADMIN_TOKEN | default "")) 16) -}}
{{- fail "secret.values: want ADMIN_TOKEN of 16 characters at least for ports.admin, such as openssl rand -hex 32 prints" -}}
{{- end -}}
{{- end -}}
{{- if and .Values.serviceMonitor.enabled (not .Values.ports.admin) -}}
{{- fail "serviceMonitor: want ports.admin, which has /metrics" -}}
{{- end -}}
{{- end -}}

{{/* The ports that are open: name, setting, number, and the service that leads there. */}}
{{- define "poosh.ports" -}}
{{- range $p := list
  (list "client" "CLIENT_PORT" "clients" .Values.ports.client)
  (list "server" "SERVER_PORT" "senders" .Values.ports.server)
  (list "pusher" "PUSHER_PORT" "clients" .Values.ports.pusher)
  (list "socktopus" "SOCKTOPUS_PORT" "clients" .Values.ports.socktopus)
  (list "push-socket" "PUSH_SOCKET_PORT" "clients" .Values.ports.pushSocket)
  (list "admin" "ADMIN_PORT" "operators" .Values.ports.admin) }}
{{- if index $p 3 }}
- name: {{ index $p 0 }}
  setting: {{ index $p 1 }}
  service: {{ index $p 2 }}
  number: {{ index $p 3 }}
{{- end }}
{{- end }}
{{- end -}}

{{/* A value as the text of a setting: YAML makes on and off of some, and 1e+06 of large numbers. */}}
{{- define "poosh.text" -}}
{{- if kindIs "bool" . -}}{{ ternary "on" "off" . }}
{{- else if kindIs "float64" . -}}{{ if eq (floor .) . }}{{ int64 . }}{{ else }}{{ . }}{{ end }}
{{- else -}}{{ . }}{{- end -}}
{{- end -}}
