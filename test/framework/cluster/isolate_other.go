// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

//go:build !linux

package cluster

import (
	"errors"
	"os"
)

var errLinuxOnly = errors.New("the cluster needs Linux namespaces: run it on Linux, for example in a virtual machine")

func runInit([]string, []*os.File) (int, error) { return 1, errLinuxOnly }

func initStage() (int, error) { return 1, errLinuxOnly }
