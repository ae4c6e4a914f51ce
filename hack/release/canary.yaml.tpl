apiVersion: krew.googlecontainertools.github.com/v1alpha2
kind: Plugin
metadata:
  name: canary
spec:
  version: {{ .Version }}
  homepage: https://github.com/canaryrollout/canaryrollout
  shortDescription: View and control CanaryRollouts
  description: |
    Shows the progress of CanaryRollouts, promotes, aborts, retries and undoes
    releases, and forecasts or checks them from their manifests without a
    cluster. CanaryRollout is an operator that releases canaries through the
    Gateway API.
  caveats: |
    All commands but plan and lint need the CanaryRollout operator in the
    cluster.
  platforms:
  {{- range .Platforms }}
  - selector:
      matchLabels:
        os: {{ .OS }}
        arch: {{ .Arch }}
    uri: https://github.com/canaryrollout/canaryrollout/releases/download/{{ $.Version }}/{{ .File }}
    sha256: {{ .SHA256 }}
    bin: {{ .Bin }}
  {{- end }}
