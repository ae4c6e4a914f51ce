// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

package backend

import (
	"crypto/tls"
	"net"
	"regexp"
	"slices"
	"strings"
	"sync"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/resourceversion"
)

// pods maps each address to the pod behind it.
type pods struct {
	mu    sync.Mutex
	byIP  map[string]*pod
	names map[string]string // by address, of all pods that ever existed, because no address is reused

	// live asks the API server for the pod with an address. It returns nil if there is none.
	live func(ip string) *corev1.Pod
}

type pod struct {
	answer  Answer
	manner  manner
	version string // resourceVersion of the newest state seen
	ready   bool
	end     time.Time // of its grace period; zero if it is not being deleted
	conns   map[*conn]struct{}
}

func newPods(live func(ip string) *corev1.Pod) *pods {
	return &pods{byIP: map[string]*pod{}, names: map[string]string{}, live: live}
}

func (p *pod) answers(now time.Time) bool {
	return p.ready && (p.end.IsZero() || now.Before(p.end))
}

// set records a pod as reported by the watch or by a live lookup. A pod that stops answering loses its connections at
// once.
func (t *pods) set(object *corev1.Pod) {
	if object.Status.PodIP == "" {
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	p := t.byIP[object.Status.PodIP]
	if p == nil {
		p = &pod{conns: map[*conn]struct{}{}}
		t.byIP[object.Status.PodIP] = p
		t.names[object.Status.PodIP] = object.Name
	}
	if p.isNewerThan(object) {
		return
	}
	p.answer, p.manner = answerOf(object), mannerOf(object)
	p.ready, p.version = isReady(object), object.ResourceVersion
	if object.DeletionTimestamp != nil {
		p.end = object.DeletionTimestamp.Time
	}
	if !p.answers(time.Now()) {
		p.reset()
	}
}

// isNewerThan reports whether the table already holds a newer state than object, from a live lookup.
func (p *pod) isNewerThan(object *corev1.Pod) bool {
	order, err := resourceversion.CompareResourceVersion(object.ResourceVersion, p.version)
	return err == nil && order < 0
}

func (t *pods) remove(object *corev1.Pod) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if p := t.byIP[object.Status.PodIP]; p != nil {
		p.ready = false
		p.reset()
		delete(t.byIP, object.Status.PodIP)
	}
}

func (t *pods) name(ip string) string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.names[ip]
}

// reset requires the table's lock.
func (p *pod) reset() {
	for c := range p.conns {
		c.reset()
	}
	clear(p.conns)
}

func (t *pods) answering(ip string) (Answer, manner, bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	p := t.byIP[ip]
	if p == nil || !p.answers(time.Now()) {
		return Answer{}, manner{}, false
	}
	return p.answer, p.manner, true
}

// admit tracks the connection, to reset it when its pod stops answering, or returns false if the pod refuses it.
func (t *pods) admit(c *conn) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	p := t.byIP[c.ip]
	if p == nil || !p.answers(time.Now()) {
		return false
	}
	p.conns[c] = struct{}{}
	return true
}

// admitLive is admit for a pod that is not known to answer: the watch may be behind the client.
func (t *pods) admitLive(c *conn) bool {
	if found := t.live(c.ip); found != nil {
		t.set(found)
	}
	return t.admit(c)
}

func (t *pods) forget(c *conn) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if p := t.byIP[c.ip]; p != nil {
		delete(p.conns, c)
	}
}

// A gate marks connections to pods that answer. The others are checked again on the first read.
type gate struct {
	net.Listener
	pods *pods
	// certificate is shared by all pods.
	certificate *tls.Config
}

func (g *gate) Accept() (net.Conn, error) {
	accepted, err := g.Listener.Accept()
	if err != nil {
		return nil, err
	}
	c := &conn{TCPConn: accepted.(*net.TCPConn), pods: g.pods}
	c.ip = c.LocalAddr().(*net.TCPAddr).IP.String()
	c.admitted = g.pods.admit(c)
	return &either{Conn: c, certificate: g.certificate}, nil
}

type conn struct {
	*net.TCPConn
	pods     *pods
	ip       string
	admitted bool
}

// Read refuses the connection before the first read if the pod would have refused it.
func (c *conn) Read(into []byte) (int, error) {
	if !c.admitted {
		if c.admitted = c.pods.admitLive(c); !c.admitted {
			c.reset()
			return 0, net.ErrClosed
		}
	}
	return c.TCPConn.Read(into)
}

func (c *conn) Close() error {
	c.pods.forget(c)
	return c.TCPConn.Close()
}

// reset closes the connection as a kernel does for a process that has exited. Errors mean that it is already closed.
func (c *conn) reset() {
	_ = c.SetLinger(0)
	_ = c.TCPConn.Close()
}

func isReady(object *corev1.Pod) bool {
	return slices.ContainsFunc(object.Status.Conditions, func(c corev1.PodCondition) bool {
		return c.Type == corev1.PodReady && c.Status == corev1.ConditionTrue
	})
}

func answerOf(object *corev1.Pod) Answer {
	image := object.Spec.Containers[0].Image
	return Answer{
		Pod:       object.Name,
		Namespace: object.Namespace,
		Image:     image,
		Version:   Version(image),
		Revision:  object.Labels[appsv1.DefaultDeploymentUniqueLabelKey],
	}
}

var versionSuffix = regexp.MustCompile("-(v[0-9]+)$")

// Version returns the version that an image represents: "v2" for both registry/shop-v2:1.0 and registry/shop:v2.
func Version(image string) string {
	image, _, _ = strings.Cut(image, "@")
	name, tag, _ := strings.Cut(image[strings.LastIndex(image, "/")+1:], ":")
	if match := versionSuffix.FindStringSubmatch(name); match != nil {
		return match[1]
	}
	return tag
}
