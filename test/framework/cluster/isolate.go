// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

package cluster

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
)

// stageVariable tells a re-executed program which stage it is. assetsVariable and outsideVariable carry what only the
// first stage could find out, because it has the host's network.
const (
	stageVariable   = "CANARYROLLOUT_CLUSTER_STAGE"
	assetsVariable  = "CANARYROLLOUT_CLUSTER_ASSETS"
	outsideVariable = "CANARYROLLOUT_CLUSTER_OUTSIDE"

	stageInit   = "init"
	stageInside = "inside"
)

// An Expose makes an inside address reachable from the host.
type Expose struct {
	Inside  string // [APIAddress], [GatewayAddress] or any other host:port inside
	Outside string // where to listen on the host, for example "127.0.0.1:0" for any free port
}

// Isolate makes sure that the program runs in its own namespaces. Call it first in TestMain or main: it only returns
// inside. Outside, it builds the missing binaries unless [Build] was called before, then reruns this program with the same arguments,
// files and environment in new network, process and mount namespaces, forwards signals to it and exits with its exit
// code. When this process dies, the kernel kills everything inside, and the other way round.
//
// It needs root or unprivileged user namespaces, and the ip command (iproute2).
func Isolate(exposed ...Expose) {
	switch os.Getenv(stageVariable) {
	case stageInside:
		return
	case stageInit:
		os.Exit(report(initStage()))
	default:
		os.Exit(report(hostStage(exposed)))
	}
}

// Outside returns the host's address for an inside address, as exposed by [Isolate], or "" if it is not exposed.
func Outside(inside string) string {
	addresses := map[string]string{}
	_ = json.Unmarshal([]byte(os.Getenv(outsideVariable)), &addresses)
	return addresses[inside]
}

// hostStage runs outside: it prepares what needs the host's network, and waits for the inside to end.
func hostStage(exposed []Expose) (code int, err error) {
	if err := Build(context.Background(), os.Stderr, Options{}); err != nil {
		return 1, err
	}
	doors, err := openDoors(exposed)
	if err != nil {
		return 1, err
	}
	environment, err := doors.environment()
	if err != nil {
		return 1, err
	}
	environment = append(environment, stageVariable+"="+stageInit)
	return runInit(environment, doors.files)
}

func report(code int, err error) int {
	if err != nil {
		fmt.Fprintln(os.Stderr, "isolating the cluster:", err)
	}
	return code
}

// insideAssets returns the assets that the host's stage found.
func insideAssets() (*assets, error) {
	if os.Getenv(stageVariable) != stageInside {
		return nil, fmt.Errorf("not isolated: call cluster.Isolate first in main or TestMain")
	}
	found := &assets{}
	return found, json.Unmarshal([]byte(os.Getenv(assetsVariable)), found)
}
