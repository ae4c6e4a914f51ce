# Copyright The CanaryRollout Authors.
# SPDX-License-Identifier: Apache-2.0

# The manager's image. The tests do not build it: they build and run the same program without an image.
FROM --platform=$BUILDPLATFORM golang:1.26.8 AS build
ARG TARGETOS TARGETARCH
WORKDIR /src

# The modules first: they change seldom, and are then taken from the build cache.
COPY go.mod go.sum ./
RUN go mod download

COPY api/ api/
COPY cmd/ cmd/
COPY controllers/ controllers/
RUN CGO_ENABLED=0 GOOS=$TARGETOS GOARCH=$TARGETARCH go build -trimpath -ldflags="-s -w" -o /manager ./cmd/manager

# A static binary needs nothing but the certificates of the public authorities, and of those it needs none: it talks
# to the API server, whose certificate authority every pod is given.
FROM scratch
COPY --from=build /manager /manager
COPY LICENSE /LICENSE
USER 65532:65532
ENTRYPOINT ["/manager"]
