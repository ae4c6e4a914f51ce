// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
	"github.com/prometheus/procfs"
	auditv1 "k8s.io/apiserver/pkg/apis/audit/v1"

	"github.com/canaryrollout/canaryrollout/test/framework/cluster"
	"github.com/canaryrollout/canaryrollout/test/framework/cost"
)

// usage is the CPU time that was used until a moment, in seconds: user and system.
type usage struct {
	manager, apiServer, everything, machine float64
}

// A window is a time in which costs are counted.
type window struct {
	began  time.Time
	before usage
	passes float64
}

// spent is what was counted in a window.
type spent struct {
	seconds float64
	usage
	passes float64
	// requests are those of the manager, and others those of the other users.
	requests cost.Counts
	others   map[string]int
}

// open opens a window. The metrics of the manager are read outside it, because that costs the manager CPU time.
func (s *stage) open(ctx context.Context) (w *window, err error) {
	w = &window{}
	if w.passes, err = s.passes(ctx); err != nil {
		return nil, err
	}
	if err := s.readAudit(); err != nil {
		return nil, err
	}
	s.events, w.began = nil, time.Now()
	w.before, err = s.usage()
	return w, err
}

// close closes a window.
func (s *stage) close(ctx context.Context, w *window) (total *spent, err error) {
	total = &spent{seconds: time.Since(w.began).Seconds(), requests: cost.Counts{}, others: map[string]int{}}
	after, err := s.usage()
	if err != nil {
		return nil, err
	}
	total.usage = usage{
		after.manager - w.before.manager, after.apiServer - w.before.apiServer,
		after.everything - w.before.everything, after.machine - w.before.machine,
	}
	if err := s.readAudit(); err != nil {
		return nil, err
	}
	for i := range s.events {
		if cost.ByOperator(&s.events[i]) {
			total.requests[cost.Kind(&s.events[i])]++
		} else {
			total.others[userOf(&s.events[i])]++
		}
	}
	passes, err := s.passes(ctx)
	total.passes = passes - w.passes
	return total, err
}

// usage reads /proc. Its processes are those of this program's namespace: the cluster, the manager and the program itself.
func (s *stage) usage() (u usage, err error) {
	fs, err := procfs.NewFS(procfs.DefaultMountPoint)
	if err != nil {
		return u, err
	}
	machine, err := fs.Stat()
	if err != nil {
		return u, err
	}
	cpu := machine.CPUTotal
	u.machine = cpu.User + cpu.Nice + cpu.System + cpu.IRQ + cpu.SoftIRQ
	all, err := fs.AllProcs()
	if err != nil {
		return u, err
	}
	for _, process := range all {
		stat, err := process.Stat()
		if err != nil {
			continue // it has ended
		}
		u.everything += stat.CPUTime()
		switch process.PID {
		case s.manager.PID():
			u.manager = stat.CPUTime()
		case s.cluster.Process(cluster.APIServer).PID():
			u.apiServer = stat.CPUTime()
		}
	}
	return u, nil
}

// memory returns the resident memory of a process and its maximum, in MiB.
func memory(pid int) (now, peak float64, err error) {
	process, err := procfs.NewProc(pid)
	if err != nil {
		return 0, 0, err
	}
	status, err := process.NewStatus()
	return float64(status.VmRSS) / (1 << 20), float64(status.VmHWM) / (1 << 20), err
}

// passes returns how many passes the manager has made, from its metrics.
func (s *stage) passes(ctx context.Context) (total float64, err error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, fmt.Sprintf("http://127.0.0.1:%d/metrics", s.metricsPort), nil)
	if err != nil {
		return 0, err
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return 0, fmt.Errorf("read the metrics of the manager: %w", err)
	}
	defer func() { _ = response.Body.Close() }()
	parser := expfmt.NewTextParser(model.UTF8Validation)
	families, err := parser.TextToMetricFamilies(response.Body)
	if err != nil {
		return 0, fmt.Errorf("read the metrics of the manager: %w", err)
	}
	family := families["controller_runtime_reconcile_total"]
	for _, metric := range family.GetMetric() {
		total += metric.GetCounter().GetValue()
	}
	return total, nil
}

// userOf returns the short name of a user in tables.
func userOf(event *auditv1.Event) string {
	name := event.User.Username
	if name == string(cluster.Admin) {
		return "bench"
	}
	return name[strings.LastIndex(name, ":")+1:]
}
