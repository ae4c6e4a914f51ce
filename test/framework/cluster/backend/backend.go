// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

// Package backend acts as the containers of every pod of a test cluster. All addresses of the pod range are local
// there, so one listener accepts the connections for all pods, distinguishes them by local address, and answers as
// each pod would:
//
//   - A Ready pod answers 200 with an [Answer], in the body and in headers: over HTTP/1.1, with or without TLS, or to a
//     gRPC call over HTTP/2 without TLS. It keeps answering while it terminates, until its grace period has passed.
//     The variables [ErrorPercent] and [Latency] in its environment make it answer badly.
//   - A pod that is not Ready, is gone, or never existed resets every connection: new ones when they are accepted, and
//     open ones when it stops being Ready. So traffic to a wrong place shows as lost requests.
//
// The state of a pod comes from a watch. On a busy machine a watch can lag by more than a gateway takes to learn of a
// pod. So before a connection to a pod that is not known to answer is refused, the API server is asked about that
// pod. In the other direction, the end of a grace period is taken from the pod's deletionTimestamp and not from the
// watch, and no address of the test cluster is used by a second pod. A pod deleted without a grace period can answer
// until the event arrives.
//
// One difference from a real network remains: a connection to a pod that refuses it is established before it is
// reset.
package backend

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/cache"

	"github.com/canaryrollout/canaryrollout/test/framework/cluster"
)

// Headers of every answer, in addition to the JSON body.
const (
	PodHeader      = "X-Pod"
	RevisionHeader = "X-Revision"
	VersionHeader  = "X-Version"
)

// A gRPC call is recognized by its content type, and answered with an empty message and status 0 in the trailer.
const (
	GRPC       = "application/grpc"
	GRPCStatus = "Grpc-Status"
)

// An Answer is the JSON body of a pod's answer.
type Answer struct {
	Pod       string `json:"pod"`
	Namespace string `json:"namespace"`
	Image     string `json:"image"`    // of the first container
	Version   string `json:"version"`  // from the image: see Version
	Revision  string `json:"revision"` // the pod's pod-template-hash label
}

// A Backend answers until it is stopped.
type Backend struct {
	pods   *pods
	server *http.Server
	cancel context.CancelFunc
	served chan struct{}
}

// Start listens on [cluster.PodPort] of every address and returns once it knows all existing pods. cfg's user must be
// allowed to list and watch pods.
func Start(ctx context.Context, cfg *rest.Config) (*Backend, error) {
	api, err := kubernetes.NewForConfig(cfg)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancel(context.WithoutCancel(ctx))
	live := func(ip string) *corev1.Pod { return podAt(ctx, api, ip) }
	b := &Backend{pods: newPods(live), cancel: cancel, served: make(chan struct{})}
	if err := b.watch(ctx, api); err != nil {
		cancel()
		return nil, err
	}
	listener, err := net.Listen("tcp4", fmt.Sprintf("0.0.0.0:%d", cluster.PodPort))
	if err != nil {
		cancel()
		return nil, fmt.Errorf("listening for the pods: %w", err)
	}
	certificate, err := selfSigned()
	if err != nil {
		cancel()
		return nil, errors.Join(err, listener.Close())
	}
	// A limit for the first header would close connections that a gateway has opened and not used yet. A request that it sends at
	// that moment would be lost.
	b.server = &http.Server{Handler: http.HandlerFunc(b.answer), Protocols: &http.Protocols{}} //nolint:gosec // only tests reach it
	b.server.Protocols.SetHTTP1(true)
	b.server.Protocols.SetUnencryptedHTTP2(true) // as gRPC uses it
	go b.serve(&gate{Listener: listener, pods: b.pods, certificate: certificate})
	return b, nil
}

// Stop closes the listener and every connection.
func (b *Backend) Stop() error {
	err := b.server.Close()
	b.cancel()
	<-b.served
	return err
}

// PodAt returns the name of the pod that has or had the address, or "" if there never was one.
func (b *Backend) PodAt(ip string) string { return b.pods.name(ip) }

func (b *Backend) serve(listener net.Listener) {
	defer close(b.served)
	if err := b.server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
		panic(fmt.Sprintf("the pods' listener failed: %v", err)) // every later result would be wrong
	}
}

// watch updates the table of pods and waits until it contains all of them.
func (b *Backend) watch(ctx context.Context, api kubernetes.Interface) error {
	factory := informers.NewSharedInformerFactory(api, 0)
	informer := factory.Core().V1().Pods().Informer()
	registration, err := informer.AddEventHandler(cache.ResourceEventHandlerFuncs{
		AddFunc:    func(object any) { b.pods.set(object.(*corev1.Pod)) },
		UpdateFunc: func(_, object any) { b.pods.set(object.(*corev1.Pod)) },
		DeleteFunc: func(object any) { b.pods.remove(deleted(object)) },
	})
	if err != nil {
		return err
	}
	factory.StartWithContext(ctx)
	if !cache.WaitForCacheSync(ctx.Done(), registration.HasSynced) {
		return errors.New("the pods could not be listed before the context ended")
	}
	return nil
}

// podAt asks the API server for the pod with this address. It returns nil if there is none, or no answer.
func podAt(ctx context.Context, api kubernetes.Interface, ip string) *corev1.Pod {
	ctx, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	list, err := api.CoreV1().Pods(metav1.NamespaceAll).List(ctx, metav1.ListOptions{FieldSelector: "status.podIP=" + ip})
	if err != nil || len(list.Items) == 0 {
		return nil
	}
	return &list.Items[0]
}

func deleted(object any) *corev1.Pod {
	if unknown, ok := object.(cache.DeletedFinalStateUnknown); ok {
		object = unknown.Obj
	}
	return object.(*corev1.Pod)
}

// answer looks the pod up again: it may have changed since the connection was accepted.
func (b *Backend) answer(w http.ResponseWriter, r *http.Request) {
	local := r.Context().Value(http.LocalAddrContextKey).(*net.TCPAddr)
	answer, manner, ok := b.pods.answering(local.IP.String())
	if !ok {
		panic(http.ErrAbortHandler) // closes the connection without an answer
	}
	w.Header().Set(PodHeader, answer.Pod)
	w.Header().Set(RevisionHeader, answer.Revision)
	w.Header().Set(VersionHeader, answer.Version)
	if err := manner.perform(r.Context()); err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	if contentType := r.Header.Get("Content-Type"); contentType == GRPC {
		w.Header().Set("Content-Type", contentType)
		w.Header().Set("Trailer", GRPCStatus)
		_, _ = w.Write(make([]byte, 5)) // an empty message: not compressed, length 0
		w.Header().Set(GRPCStatus, "0")
		return
	}
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(answer) // the caller may have gone
}
