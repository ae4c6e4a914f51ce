// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

package cluster

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"runtime"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// network configures the addresses: the one that the API server advertises, and the pod and service ranges, all
// local. The pod range has room for a restarted kwok, which uses the next /16.
const network = `link set lo up
address add 10.99.0.1/32 dev lo
route add local 10.244.0.0/14 dev lo
route add local 10.96.0.0/16 dev lo
`

// runInit reruns this program as process 1 of new namespaces, and waits for it.
func runInit(environment []string, files []*os.File) (code int, err error) {
	runtime.LockOSThread() // Pdeathsig follows the starting thread, which must live as long as the process
	cmd, err := again(environment)
	if err != nil {
		return 1, err
	}
	cmd.ExtraFiles = files
	cmd.SysProcAttr = namespaces()
	if err := cmd.Start(); err != nil {
		return 1, fmt.Errorf("starting %s in new namespaces: %w\nRun as root, or allow unprivileged user namespaces "+
			"(sysctl kernel.unprivileged_userns_clone, kernel.apparmor_restrict_unprivileged_userns; "+
			"in a container: --privileged)", cmd.Path, err)
	}
	handOnSignals(cmd.Process)
	var exit *exec.ExitError
	if err := cmd.Wait(); err != nil && !errors.As(err, &exit) {
		return 1, err
	}
	return exitCode(cmd.ProcessState.Sys().(syscall.WaitStatus)), nil
}

// namespaces sets a separate process group, so that Ctrl-C reaches the inside once, from this process.
func namespaces() *syscall.SysProcAttr {
	attr := &syscall.SysProcAttr{
		Cloneflags: unix.CLONE_NEWNET | unix.CLONE_NEWPID | unix.CLONE_NEWNS,
		Pdeathsig:  syscall.SIGKILL,
		Setpgid:    true,
	}
	if os.Geteuid() != 0 {
		attr.Cloneflags |= unix.CLONE_NEWUSER
		attr.UidMappings = []syscall.SysProcIDMap{{HostID: os.Geteuid(), Size: 1}}
		attr.GidMappings = []syscall.SysProcIDMap{{HostID: os.Getegid(), Size: 1}}
	}
	return attr
}

// initStage is process 1 of the namespaces. The program itself runs as its child: process 1 must reap every orphan,
// and a program that also uses os/exec would lose the exit status of its own children that way.
func initStage() (code int, err error) {
	if err := mountProc(); err != nil {
		return 1, err
	}
	if err := configureNetwork(); err != nil {
		return 1, err
	}
	if err := serveDoors(); err != nil {
		return 1, err
	}
	cmd, err := again(append(os.Environ(), stageVariable+"="+stageInside))
	if err != nil {
		return 1, err
	}
	if err := cmd.Start(); err != nil {
		return 1, err
	}
	handOnSignals(cmd.Process)
	return reap(cmd.Process.Pid)
}

// reap waits for every process that ends, and returns when the program does.
func reap(program int) (code int, err error) {
	for {
		var status syscall.WaitStatus
		pid, err := syscall.Wait4(-1, &status, 0, nil)
		if err != nil && !errors.Is(err, syscall.EINTR) {
			return 1, fmt.Errorf("waiting for the program: %w", err)
		}
		if pid == program && (status.Exited() || status.Signaled()) {
			return exitCode(status), nil
		}
	}
}

// again returns a command that reruns this program with its arguments and standard files.
func again(environment []string) (*exec.Cmd, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	cmd := exec.Command(self)
	cmd.Args, cmd.Env = os.Args, environment
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	return cmd, nil
}

// handOnSignals forwards the signals that users and the go command send: go test asks for stacks with SIGQUIT when it
// times out.
func handOnSignals(process *os.Process) {
	signals := make(chan os.Signal, 8)
	signal.Notify(signals, syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP, syscall.SIGQUIT, syscall.SIGUSR1, syscall.SIGUSR2)
	go func() {
		for s := range signals {
			_ = process.Signal(s) // it may have just ended
		}
	}()
}

// exitCode follows the shell convention: 128 plus the signal number for a process that a signal ended.
func exitCode(status syscall.WaitStatus) int {
	if status.Signaled() {
		return 128 + int(status.Signal())
	}
	return status.ExitStatus()
}

func mountProc() error {
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		return fmt.Errorf("making mounts private: %w", err)
	}
	if err := unix.Mount("proc", "/proc", "proc", unix.MS_NOSUID|unix.MS_NODEV|unix.MS_NOEXEC, ""); err != nil {
		return fmt.Errorf("mounting /proc (some containers forbid it): %w", err)
	}
	return nil
}

func configureNetwork() error {
	cmd := exec.Command("ip", "-batch", "-")
	cmd.Stdin = strings.NewReader(network)
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("setting up the network (install iproute2): %w: %s", err, out)
	}
	return nil
}
