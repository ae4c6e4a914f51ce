// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

package crash

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"reflect"
	"strings"
	"sync"

	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// fault is what happens to one write of a manager, or to one read of its cache.
type fault string

const (
	none     fault = "none"
	dies     fault = "dies"     // the write happens, and the manager dies before it learns of it
	fails    fault = "fails"    // the API server answers 500, and the write does not happen
	conflict fault = "conflict" // the API server answers 409, and the write does not happen
	timeout  fault = "timeout"  // the write happens, and the response is lost
	lags     fault = "lags"     // the cache once returns an older state than before
)

var faults = []fault{dies, fails, conflict, timeout, lags}

// disturbance applies a fault to the k-th write, or to the k-th read that could return something older. Nothing
// counts before it is armed.
type disturbance struct {
	// die stops the manager.
	die context.CancelFunc
	// caughtUp triggers an event that brings the newer state to a cache that has returned an older one.
	caughtUp func()
	events   sync.WaitGroup

	mu    sync.Mutex
	armed bool
	fault fault
	k     int
	// writes and reads are those so far.
	writes []string
	reads  int
	dead   bool
	hit    string
}

// arm starts counting.
func (d *disturbance) arm(f fault, k int) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.armed, d.fault, d.k = true, f, k
}

// was ends the disturbance, and returns what was hit, if anything, and how many writes and reads there were.
func (d *disturbance) was() (hit string, writes, reads int) {
	d.mu.Lock()
	d.armed = false
	d.mu.Unlock()
	d.events.Wait()
	return d.hit, len(d.writes), d.reads
}

var errDead = errors.New("this manager is dead")

// transport disturbs requests to the API server.
type transport struct {
	*disturbance
	next http.RoundTripper
}

func (t transport) RoundTrip(request *http.Request) (*http.Response, error) {
	hit, dead := t.count(request)
	switch {
	case dead:
		return nil, errDead
	case hit == fails:
		return answer(request, http.StatusInternalServerError, "InternalError"), nil
	case hit == conflict:
		return answer(request, http.StatusConflict, "Conflict"), nil
	}
	response, err := t.next.RoundTrip(request)
	switch hit {
	case dies:
		t.die()
		return nil, errDead
	case timeout:
		return nil, context.DeadlineExceeded
	default:
		return response, err
	}
}

// count returns what is to happen to a request.
func (t transport) count(request *http.Request) (hit fault, dead bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.dead || !t.armed || !isWrite(request) {
		return none, t.dead
	}
	t.writes = append(t.writes, request.Method+" "+request.URL.Path)
	if t.fault == lags || len(t.writes) != t.k {
		return none, false
	}
	t.hit = t.writes[t.k-1]
	t.dead = t.fault == dies // from here on, nothing else is sent
	return t.fault, false
}

// isWrite skips writes without a relevant effect: dry runs and Events.
func isWrite(request *http.Request) bool {
	return request.Method != http.MethodGet && !strings.Contains(request.URL.RawQuery, "dryRun") &&
		!strings.HasSuffix(request.URL.Path, "/events") && !strings.Contains(request.URL.Path, "/events/")
}

func answer(request *http.Request, code int, reason string) *http.Response {
	status := fmt.Sprintf(`{"kind":"Status","apiVersion":"v1","status":"Failure","message":"made up","reason":%q,"code":%d}`, reason, code)
	return &http.Response{
		StatusCode: code, Status: http.StatusText(code), Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1, Request: request,
		Header: http.Header{"Content-Type": {"application/json"}}, Body: io.NopCloser(strings.NewReader(status)),
		ContentLength: int64(len(status)),
	}
}

// lagging is a cache that once returns an older state: a restarted watch, of another API server, may do that.
type lagging struct {
	*disturbance
	client.Reader

	mu           sync.Mutex
	last, before map[string]runtime.Object
}

func newLagging(d *disturbance, reader client.Reader) *lagging {
	return &lagging{disturbance: d, Reader: reader, last: map[string]runtime.Object{}, before: map[string]runtime.Object{}}
}

func (l *lagging) Get(ctx context.Context, key client.ObjectKey, into client.Object, options ...client.GetOption) error {
	if err := l.Reader.Get(ctx, key, into, options...); err != nil {
		return err
	}
	l.show(fmt.Sprintf("%T %s %s", into, into.GetObjectKind().GroupVersionKind(), key), into)
	return nil
}

func (l *lagging) List(ctx context.Context, into client.ObjectList, options ...client.ListOption) error {
	if err := l.Reader.List(ctx, into, options...); err != nil {
		return err
	}
	all := (&client.ListOptions{}).ApplyOptions(options)
	l.show(fmt.Sprintf("%T %s %s %v %v", into, into.GetObjectKind().GroupVersionKind(), all.Namespace, all.LabelSelector, all.FieldSelector), into)
	return nil
}

// show records what is returned, and replaces it with something older when that is due.
func (l *lagging) show(key string, into runtime.Object) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if last := l.last[key]; last == nil || version(last) != version(into) {
		l.before[key], l.last[key] = last, into.DeepCopyObject()
	}
	if older := l.before[key]; older != nil && l.isDue(key) {
		reflect.ValueOf(into).Elem().Set(reflect.ValueOf(older.DeepCopyObject()).Elem())
	}
}

func (l *lagging) isDue(key string) bool {
	l.disturbance.mu.Lock()
	defer l.disturbance.mu.Unlock()
	if !l.armed {
		return false
	}
	l.reads++
	if l.fault != lags || l.reads != l.k {
		return false
	}
	l.hit = key
	l.events.Go(l.caughtUp)
	return true
}

// version identifies the state of an object or a list.
func version(object runtime.Object) (text string) {
	_ = meta.EachListItem(object, func(item runtime.Object) error {
		text += version(item) + " "
		return nil
	})
	if accessor, err := meta.Accessor(object); err == nil && !meta.IsListType(object) {
		text = string(accessor.GetUID()) + "/" + accessor.GetResourceVersion()
	}
	return text
}
