// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"fmt"
	"net"
	"os"
	"strings"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/uuid"
	coordinationv1 "k8s.io/client-go/kubernetes/typed/coordination/v1"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/leaderelection/resourcelock"
)

// newLock returns the lease of the leader election. Its client does not wait for an answer for so long that the lease could
// not be renewed in time.
func (o *options) newLock(config *rest.Config) (*shardLock, error) {
	if o.leaseNamespace == "" {
		return nil, errors.New("the namespace of the lease is unknown outside a pod: set --leader-election-namespace, or --leader-elect=false")
	}
	config = rest.AddUserAgent(rest.CopyConfig(config), "leader-election")
	config.Timeout = max(o.renewDeadline/2, time.Second)
	client, err := coordinationv1.NewForConfig(config)
	if err != nil {
		return nil, fmt.Errorf("make a client for leases: %w", err)
	}
	holder, err := o.identity()
	if err != nil {
		return nil, err
	}
	return &shardLock{shard: o.shard, LeaseLock: &resourcelock.LeaseLock{
		LeaseMeta:  metav1.ObjectMeta{Namespace: o.leaseNamespace, Name: o.shard.Lease()},
		Client:     client,
		LockConfig: resourcelock.ResourceLockConfig{Identity: holder},
	}}, nil
}

// identity returns the name by which this process holds the lease. In a pod it is that of the pod, so a container that
// restarts holds the lease of its former process, and leads at once. It is safe because a pod never runs two of them:
// the kubelet starts a container again only after its former process has ended, another pod has another UID, and a second
// process in the pod cannot listen for probes, and ends before the election. So the port of the probes is part of the name, and
// without one, as outside a pod, each process has a name of its own. Writes that the former process sent in its last moment are
// guarded by the versions that they are based on, as all writes are.
func (o *options) identity() (string, error) {
	_, port, err := net.SplitHostPort(o.probeAddress)
	if uid := os.Getenv("POD_UID"); uid != "" && err == nil && port != "0" {
		return strings.Join([]string{os.Getenv("POD_NAME"), uid, port}, "_"), nil
	}
	host, err := os.Hostname()
	if err != nil {
		return "", fmt.Errorf("find the name of this host: %w", err)
	}
	return host + "_" + string(uuid.NewUUID()), nil
}
