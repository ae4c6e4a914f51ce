// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

package cluster

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"syscall"
	"time"
)

// A Process is one program of the cluster. Its methods are safe for concurrent use.
type Process struct {
	name string
	path string
	dir  string                   // working directory, and where its log is
	args func(start int) []string // start counts from 0
	died func(error)              // called when it exits unexpectedly

	mu       sync.Mutex
	starts   int
	stopping bool
	cmd      *exec.Cmd
	ended    chan struct{} // closed when cmd has ended
}

// PID returns the process ID inside the namespaces, or 0 before the first start.
func (p *Process) PID() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.cmd == nil {
		return 0
	}
	return p.cmd.Process.Pid
}

// Log returns the path of the log file, which is kept across restarts.
func (p *Process) Log() string { return filepath.Join(p.dir, p.name+".log") }

// Signal sends a signal, for example SIGSTOP and SIGCONT to make a component late. A process that exits because of it
// counts as having died, unless [Process.Stop] or [Process.Restart] follows.
func (p *Process) Signal(signal syscall.Signal) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.cmd == nil {
		return fmt.Errorf("%s does not run", p.name)
	}
	return p.cmd.Process.Signal(signal)
}

// Stop ends the process with SIGTERM and waits. It kills the process if it is still running after grace. Zero kills
// at once.
func (p *Process) Stop(grace time.Duration) error {
	p.mu.Lock()
	cmd, ended := p.cmd, p.ended
	p.stopping = true
	p.mu.Unlock()
	if cmd == nil {
		return nil
	}
	if grace > 0 {
		_ = cmd.Process.Signal(syscall.SIGCONT) // a stopped process would not handle SIGTERM
		_ = cmd.Process.Signal(syscall.SIGTERM)
	}
	select {
	case <-ended:
		return nil
	case <-time.After(grace):
	}
	if err := cmd.Process.Kill(); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return fmt.Errorf("ending %s: %w", p.name, err)
	}
	<-ended
	return nil
}

// Restart kills the process if it is running, and starts it again with the same data, address and log. It does not
// wait until the process is ready: see [Cluster.WaitForAPI] for the API server.
func (p *Process) Restart() error {
	if err := p.Stop(0); err != nil {
		return err
	}
	return p.start()
}

func (p *Process) start() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	log, err := os.OpenFile(p.Log(), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return err
	}
	defer log.Close()
	cmd := exec.Command(p.path, p.args(p.starts)...)
	cmd.Dir, cmd.Stdout, cmd.Stderr = p.dir, log, log
	// There is enough memory. A whole cluster on one machine is short of processors.
	cmd.Env = append(os.Environ(), "GOGC=400")
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // Ctrl-C goes to the program, which then stops this in order
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("starting %s: %w", p.name, err)
	}
	p.cmd, p.ended, p.stopping = cmd, make(chan struct{}), false
	p.starts++
	go p.wait(cmd, p.ended)
	return nil
}

func (p *Process) wait(cmd *exec.Cmd, ended chan struct{}) {
	_ = cmd.Wait() // cmd.ProcessState holds the result
	p.mu.Lock()
	asked := p.stopping
	p.mu.Unlock()
	if !asked {
		p.died(fmt.Errorf("%s ended unasked (%v); the end of %s:\n%s", p.name, cmd.ProcessState, p.Log(), p.lastLines(10)))
	}
	close(ended)
}

func (p *Process) lastLines(n int) []byte {
	log, err := os.ReadFile(p.Log())
	if err != nil {
		return []byte(err.Error())
	}
	lines := bytes.Split(bytes.TrimSpace(log), []byte("\n"))
	return bytes.Join(lines[max(0, len(lines)-n):], []byte("\n"))
}

// waitFor polls until ready returns no error, ctx ends, or a process of the cluster dies. In the last case the error
// is that death.
func waitFor(ctx context.Context, what string, ready func(context.Context) error) error {
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for {
		err := ready(ctx)
		if err == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("waiting for %s: %w; last seen: %w", what, context.Cause(ctx), err)
		case <-tick.C:
		}
	}
}
