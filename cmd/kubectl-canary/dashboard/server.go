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
	// Client has the rights of the user.
	Client client.WithWatch
	// Namespace is the namespace to show; empty for all.
	Namespace string
	// Notice is shown above the list, for example why it covers one namespace only.
	Notice string
	// IsReadOnly leaves out all actions.
	IsReadOnly bool
	// Now is the clock.
	Now func() time.Time
}

// Server shows rollouts to one user.
type Server struct {
	Options
	rollouts *rollouts
}

// Run serves the dashboard on a listener until the context is done. Before that, it passes the URL to open to ready.
func Run(ctx context.Context, listener net.Listener, options Options, ready func(url string) error) error {
	address, isTCP := listener.Addr().(*net.TCPAddr)
	if !isTCP || !address.IP.IsLoopback() {
		return fmt.Errorf("the dashboard has the rights of your kubeconfig, so it listens on loopback addresses only, not on %s", listener.Addr())
	}
	s := &Server{Options: options, rollouts: newRollouts(options)}
	port := strconv.Itoa(address.Port)
	g := &guard{token: newToken(), cookie: "canary-dashboard-" + port, next: s.handler()}
	for _, host := range []string{"127.0.0.1", "localhost", "::1"} {
		g.hosts = append(g.hosts, net.JoinHostPort(host, port))
	}
	defer func() { _ = listener.Close() }() // it is closed already, unless ready failed
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	go s.rollouts.run(ctx)
	web := &http.Server{
		Handler: g, BaseContext: func(net.Listener) context.Context { return ctx },
		ReadHeaderTimeout: 10 * time.Second, ReadTimeout: 30 * time.Second, IdleTimeout: 2 * time.Minute, MaxHeaderBytes: 16 << 10,
	}
	if err := ready(fmt.Sprintf("http://%s/?%s=%s", listener.Addr(), tokenParameter, g.token)); err != nil {
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
