{{/* What all pods share: the restricted pod security profile, the settings, and Secrets as files. */}}

{{/* Takes a dict of `root` and, where they differ from the release's, the names of `config` and `account`. */}}
{{- define "regrant.pod" -}}
{{- $config := .config | default (include "regrant.fullname" .root) }}
{{- $root := .root }}
{{- $account := .account | default (include "regrant.serviceAccount" .root) }}
{{- with .root }}
serviceAccountName: {{ $account }}
automountServiceAccountToken: false
# A Service named regrant would make REGRANT_PORT and its like, which are no settings.
enableServiceLinks: false
{{- with .Values.imagePullSecrets }}
imagePullSecrets: {{ toYaml . | nindent 2 }}
{{- end }}
{{- with .Values.nodeSelector }}
nodeSelector: {{ toYaml . | nindent 2 }}
{{- end }}
{{- with .Values.tolerations }}
tolerations: {{ toYaml . | nindent 2 }}
{{- end }}
{{- with .Values.affinity }}
affinity: {{ toYaml . | nindent 2 }}
{{- end }}
{{- with .Values.priorityClassName }}
priorityClassName: {{ . }}
{{- end }}
securityContext:
  runAsNonRoot: true
  {{- with .Values.runAsUser }}
  runAsUser: {{ . | int64 }}
  runAsGroup: {{ . | int64 }}
  fsGroup: {{ . | int64 }}
  {{- end }}
  seccompProfile: {type: RuntimeDefault}
volumes:
  - name: tmp
    emptyDir: {sizeLimit: 64Mi}
  - name: config
    configMap: {name: {{ $config }}}
  - name: secrets
    projected:
      defaultMode: 0440
      sources:
        {{- with .Values.secrets }}
        - secret:
            name: {{ .database.existingSecret }}
            items: [{key: {{ .database.key }}, path: database/dsn}]
        {{- if .kafka.existingSecret }}
        - secret:
            name: {{ .kafka.existingSecret }}
            items: [{key: {{ .kafka.key }}, path: kafka/password}]
        {{- end }}
        {{- with .kafkaTls }}
        {{- if .existingSecret }}
        - secret:
            name: {{ .existingSecret }}
            items:
              {{- if .ca }}
              - {key: {{ .ca }}, path: kafka/ca.crt}
              {{- end }}
              {{- if .certificate }}
              - {key: {{ .certificate }}, path: kafka/tls.crt}
              - {key: {{ .certificateKey }}, path: kafka/tls.key}
              {{- end }}
        {{- end }}
        {{- end }}
        {{- if .jwt.existingSecret }}
        - secret:
            name: {{ .jwt.existingSecret }}
            items: [{key: {{ .jwt.key }}, path: jwt/hs256.key}]
        {{- end }}
        {{- range $id, $provider := .providers }}
        - secret:
            name: {{ $provider.existingSecret }}
            items: [{key: {{ $provider.key | default "client_secret" }}, path: providers/{{ $id }}}]
        {{- end }}
        {{- range $id, $webhook := .webhooks }}
        - secret:
            name: {{ $webhook.existingSecret }}
            items:
              {{- range $webhook.keys }}
              - {key: {{ . }}, path: webhooks/{{ $id }}/{{ . }}}
              {{- end }}
        {{- end }}
        {{- with .mail }}
        {{- if .existingSecret }}
        - secret:
            name: {{ .existingSecret }}
            items:
              - {key: {{ .key }}, path: mail/password}
              {{- with .ca }}
              - {key: {{ . }}, path: mail/ca.crt}
              {{- end }}
        {{- end }}
        {{- end }}
        {{- range $id, $adapter := .adapters }}
        - secret:
            name: {{ $adapter.existingSecret }}
            items:
              - {key: {{ $adapter.key | default "secret" }}, path: adapters/{{ $id }}/secret}
              {{- with $adapter.formerKey }}
              - {key: {{ . }}, path: adapters/{{ $id }}/former}
              {{- end }}
        {{- end }}
        {{- end }}
  {{- with .Values.secrets.keys.existingSecret }}
  - name: keys
    secret:
      secretName: {{ . }}
      defaultMode: 0440
  {{- end }}
  {{- with .Values.extraVolumes }}
  {{- tpl (toYaml .) $root | nindent 2 }}
  {{- end }}
{{- end }}
{{- end }}

{{- define "regrant.container" -}}
{{- if .Values.image.digest }}
image: {{ printf "%s@%s" .Values.image.repository .Values.image.digest | quote }}
{{- else }}
image: {{ printf "%s:%s" .Values.image.repository (.Values.image.tag | default .Chart.AppVersion) | quote }}
{{- end }}
imagePullPolicy: {{ .Values.image.pullPolicy }}
securityContext:
  allowPrivilegeEscalation: false
  readOnlyRootFilesystem: true
  capabilities: {drop: [ALL]}
env:
  - {name: REGRANT_CONFIG, value: /etc/regrant/config/regrant.yaml}
  - {name: REGRANT_HTTP__HOST, value: 0.0.0.0}
  - {name: REGRANT_HTTP__PORT, value: "8080"}
  - {name: REGRANT_METRICS__PORT, value: "9090"}
  - {name: REGRANT_DATABASE__DSN_FILE, value: /etc/regrant/secrets/database/dsn}
  {{- if .Values.secrets.keys.existingSecret }}
  - {name: REGRANT_KEYS__FOLDER, value: /etc/regrant/keys}
  {{- end }}
  {{- with .Values.config.kafka.username }}
  # KEDA reads it from here.
  - {name: REGRANT_KAFKA__USERNAME, value: {{ . | quote }}}
  {{- end }}
  {{- with .Values.secrets }}
  {{- if .kafka.existingSecret }}
  - {name: REGRANT_KAFKA__PASSWORD_FILE, value: /etc/regrant/secrets/kafka/password}
  {{- end }}
  {{- with .kafkaTls }}
  {{- if and .existingSecret .ca }}
  - {name: REGRANT_KAFKA__CA_FILE, value: /etc/regrant/secrets/kafka/ca.crt}
  {{- end }}
  {{- if and .existingSecret .certificate }}
  - {name: REGRANT_KAFKA__CERTIFICATE_FILE, value: /etc/regrant/secrets/kafka/tls.crt}
  - {name: REGRANT_KAFKA__CERTIFICATE_KEY_FILE, value: /etc/regrant/secrets/kafka/tls.key}
  {{- end }}
  {{- end }}
  {{- if .jwt.existingSecret }}
  - {name: REGRANT_JWT__HS256_KEY_FILE, value: /etc/regrant/secrets/jwt/hs256.key}
  {{- end }}
  {{- range $id, $provider := .providers }}
  - name: REGRANT_PROVIDERS__{{ $id | upper | replace "-" "_" }}__CLIENT_SECRET_FILE
    value: /etc/regrant/secrets/providers/{{ $id }}
  {{- end }}
  {{- range $id, $webhook := .webhooks }}
  {{- $files := list }}
  {{- range $webhook.keys }}
  {{- $files = append $files (printf "/etc/regrant/secrets/webhooks/%s/%s" $id .) }}
  {{- end }}
  - name: REGRANT_WEBHOOKS__{{ $id | upper | replace "-" "_" }}__SECRET_FILES
    value: {{ join "," $files | quote }}
  {{- end }}
  {{- with .mail }}
  {{- if .existingSecret }}
  - {name: REGRANT_MAIL__PASSWORD_FILE, value: /etc/regrant/secrets/mail/password}
  {{- if .ca }}
  - {name: REGRANT_MAIL__CA_FILE, value: /etc/regrant/secrets/mail/ca.crt}
  {{- end }}
  {{- end }}
  {{- end }}
  {{- range $id, $adapter := .adapters }}
  - name: REGRANT_ADAPTERS__{{ $id | upper | replace "-" "_" }}__SECRET_FILE
    value: /etc/regrant/secrets/adapters/{{ $id }}/secret
  {{- if $adapter.formerKey }}
  - name: REGRANT_ADAPTERS__{{ $id | upper | replace "-" "_" }}__FORMER_SECRET_FILE
    value: /etc/regrant/secrets/adapters/{{ $id }}/former
  {{- end }}
  {{- end }}
  {{- end }}
volumeMounts:
  - {name: tmp, mountPath: /tmp}
  - {name: config, mountPath: /etc/regrant/config, readOnly: true}
  - {name: secrets, mountPath: /etc/regrant/secrets, readOnly: true}
  {{- if .Values.secrets.keys.existingSecret }}
  - {name: keys, mountPath: /etc/regrant/keys, readOnly: true}
  {{- end }}
  {{- with .Values.extraVolumeMounts }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
{{- end }}
