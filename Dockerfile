# Copyright The CanaryRollout Authors.
# SPDX-License-Identifier: Apache-2.0

# The manager's image, which also has the plugin for the dashboard in the cluster. It has no base and pulls nothing, so no content can change under a tag. make docker-build builds
# the programs first, by the Go version and the module checksums of go.mod and go.sum. The tests do not build the image:
# they run the same programs without one.
FROM scratch
ARG TARGETARCH
ARG VERSION=unknown
ARG REVISION=unknown
LABEL org.opencontainers.image.title="canaryrollout" \
	org.opencontainers.image.description="Releases canaries through the Gateway API" \
	org.opencontainers.image.licenses="Apache-2.0" \
	org.opencontainers.image.source="https://github.com/canaryrollout/canaryrollout" \
	org.opencontainers.image.version="$VERSION" \
	org.opencontainers.image.revision="$REVISION"
COPY bin/linux-$TARGETARCH/manager /manager
COPY bin/linux-$TARGETARCH/kubectl-canary /kubectl-canary
COPY LICENSE /LICENSE
USER 65532:65532
ENTRYPOINT ["/manager"]
