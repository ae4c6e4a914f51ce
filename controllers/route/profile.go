// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

package route

// profile is what a kind of routes can say. The rules of all kinds have backendRefs with weights.
type profile struct {
	// audience says that rules match headers, so that a header route can be told from other requests.
	audience bool
	// http says that they match paths, query parameters and HTTP methods, too; grpc, that they match gRPC methods.
	http, grpc bool
}

// profileOf goes by the kind; an object that names none is taken for the commonest.
func profileOf(kind string) profile {
	switch kind {
	case "GRPCRoute":
		return profile{audience: true, grpc: true}
	case "TLSRoute", "TCPRoute":
		return profile{}
	default:
		return profile{audience: true, http: true}
	}
}
