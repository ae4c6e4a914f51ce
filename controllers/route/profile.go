// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

package route

// profile is what a kind of routes can express. The rules of all kinds have backendRefs with weights.
type profile struct {
	// matchesHeaders reports whether rules match headers, so that a header route can select requests.
	matchesHeaders bool
	// http reports whether rules also match paths, query parameters and HTTP methods; grpc, whether they match gRPC
	// methods.
	http, grpc bool
}

// profileOf returns the profile of a kind. An object without a kind counts as the most common one.
func profileOf(kind string) profile {
	switch kind {
	case "GRPCRoute":
		return profile{matchesHeaders: true, grpc: true}
	case "TLSRoute", "TCPRoute":
		return profile{}
	default:
		return profile{matchesHeaders: true, http: true}
	}
}
