// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

package dashboard

import (
	"context"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/http"
	"slices"
	"strconv"
	"time"

	"sigs.k8s.io/controller-runtime/pkg/client"
)

// dist is the built page. make generate builds it from the folder web.
//
//go:embed dist
var dist embed.FS

// Options configures a dashboard.
type Options struct {
	// Client has the rights of the user, or of the service account of the pod.
	Client client.WithWatch
	// Namespaces are the namespaces to show; empty for all.
	Namespaces []string
	// Notice is shown above the list, for example why it covers one namespace only.
	Notice string
	// IsReadOnly leaves out all actions.
	IsReadOnly bool
	// Now is the clock.
	Now func() time.Time
}

// Server shows rollouts.
type Server struct {
	Options
	rollouts *rollouts
	// isInCluster is true behind a proxy.
	isInCluster bool
}

// Run serves the dashboard on a loopback listener until the context is done. Before that, it passes the URL to open to ready.
func Run(ctx context.Context, listener net.Listener, options Options, ready func(url string) error) error {
	address, isTCP := listener.Addr().(*net.TCPAddr)
	if !isTCP || !address.IP.IsLoopback() {
		return fmt.Errorf("the dashboard has the rights of your kubeconfig, so it listens on loopback addresses only, not on %s", listener.Addr())
	}
	port := strconv.Itoa(address.Port)
	hosts := loopbackHosts(port)
	s := &Server{Options: options, rollouts: newRollouts(options)}
	g := &guard{
		isOurs: func(host string) bool { return slices.Contains(hosts, host) }, schemes: []string{"http"},
		unknownHost: "this is not the address of the dashboard: open the URL that kubectl canary dashboard printed",
		token:       newToken(), cookie: "canary-dashboard-" + port, next: s.handler(),
	}
	return s.serve(ctx, listener, g, func() error {
		return ready(fmt.Sprintf("http://%s/?%s=%s", listener.Addr(), tokenParameter, g.token))
	})
}

// healthPath answers whether the process runs, to everybody.
const healthPath = "/healthz"

// RunBehindProxy serves a read-only dashboard until the context is done, to everybody who can connect to the listener: a proxy in
// front authenticates the users. hosts are the names in the URLs by which users open the page, without ports.
func RunBehindProxy(ctx context.Context, listener net.Listener, options Options, hosts []string, ready func() error) error {
	options.IsReadOnly = true
	s := &Server{Options: options, rollouts: newRollouts(options), isInCluster: true}
	ours := map[string]bool{}
	for _, host := range hosts {
		ours[hostName(host)] = true
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET "+healthPath, func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("ok\n")) }) // the client has gone
	mux.Handle("/", &guard{
		isOurs: func(host string) bool { return ours[hostName(host)] }, schemes: []string{"http", "https"},
		unknownHost: "the dashboard does not know this host name: start it with --host for each name by which users open it",
		next:        s.handler(),
	})
	return s.serve(ctx, listener, mux, ready)
}

// serve calls ready, and serves a handler until the context is done.
func (s *Server) serve(ctx context.Context, listener net.Listener, handler http.Handler, ready func() error) error {
	defer func() { _ = listener.Close() }() // it is closed already, unless ready failed
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	go s.rollouts.run(ctx)
	web := &http.Server{
		Handler: handler, BaseContext: func(net.Listener) context.Context { return ctx },
		ReadHeaderTimeout: 10 * time.Second, ReadTimeout: 30 * time.Second, IdleTimeout: 2 * time.Minute, MaxHeaderBytes: 16 << 10,
	}
	if err := ready(); err != nil {
		return err
	}
	go func() {
		<-ctx.Done()
		_ = web.Close() // streams never end by themselves
	}()
	if err := web.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}

// handler serves the page and its data. It does not check who asks: see guard.
func (s *Server) handler() http.Handler {
	mux := http.NewServeMux()
	files, err := fs.Sub(dist, "dist")
	if err != nil {
		panic(err) // the name is constant
	}
	mux.Handle("GET /", http.FileServerFS(files))
	mux.HandleFunc("GET /api/rollouts", s.streamList)
	mux.HandleFunc("GET /api/rollouts/{namespace}/{name}", s.streamPage)
	if !s.IsReadOnly {
		mux.HandleFunc("POST /api/rollouts/{namespace}/{name}/preview", s.preview)
		mux.HandleFunc("POST /api/rollouts/{namespace}/{name}/act", s.act)
	}
	return mux
}
