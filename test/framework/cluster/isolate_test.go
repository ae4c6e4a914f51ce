// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

package cluster_test

import (
	"bufio"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"os/signal"
	"strings"
	"syscall"
	"testing"

	"github.com/canaryrollout/canaryrollout/test/framework/cluster"
)

// helperVariable makes this test binary act as a program that isolates itself, in namespaces nested in those of the
// test.
const helperVariable = "CANARYROLLOUT_TEST_HELPER"

// orphan is the command line of the process that the helper leaves behind, as /proc shows it.
const orphan = "sleep\x001007\x00"

// echoInside is the address that the helper listens on and exposes.
const echoInside = "127.0.0.1:7007"

// helper is what the program does inside. It prints "inside" first.
func helper(does string) {
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, syscall.SIGTERM)
	listener, err := net.Listen("tcp", echoInside)
	if err != nil {
		panic(err)
	}
	fmt.Println("inside", os.Getpid(), cluster.Outside(echoInside))
	switch does {
	case "exit":
		os.Exit(7)
	case "wait":
		<-signals
		os.Exit(9)
	case "orphan": // the shell exits at once and leaves its child to process 1
		if err := exec.Command("sh", "-c", "sleep 1007 &").Run(); err != nil {
			panic(err)
		}
		fmt.Println("orphaned")
		<-signals
	case "greet":
		conn, err := listener.Accept()
		if err != nil {
			panic(err)
		}
		fmt.Fprintln(conn, "hello")
		conn.Close()
		<-signals // process 1 forwards the output, and ends with this program
	}
}

// isolated starts a helper from outside its namespaces, and returns when it is inside.
func isolated(t *testing.T, does string) (cmd *exec.Cmd, lines *bufio.Scanner) {
	t.Helper()
	cmd = exec.Command(os.Args[0])
	for _, variable := range os.Environ() {
		if !strings.HasPrefix(variable, "CANARYROLLOUT_") {
			cmd.Env = append(cmd.Env, variable)
		}
	}
	cmd.Env = append(cmd.Env, helperVariable+"="+does)
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait() // reap it; most tests have already waited
	})
	lines = bufio.NewScanner(out)
	if !lines.Scan() || !strings.HasPrefix(lines.Text(), "inside ") {
		t.Fatalf("the helper said %q", lines.Text())
	}
	return cmd, lines
}

func exitCode(cmd *exec.Cmd) int {
	var exit *exec.ExitError
	if err := cmd.Wait(); errors.As(err, &exit) {
		return exit.ExitCode()
	}
	return cmd.ProcessState.ExitCode()
}

func TestExitCodeComesOut(t *testing.T) {
	cmd, _ := isolated(t, "exit")
	if code := exitCode(cmd); code != 7 {
		t.Errorf("exit code %d", code)
	}
}

func TestSignalGoesIn(t *testing.T) {
	cmd, _ := isolated(t, "wait")
	if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if code := exitCode(cmd); code != 9 {
		t.Errorf("exit code %d", code)
	}
}

// However the outermost process ends, nothing inside survives, not even an orphaned process.
func TestNothingOutlivesTheOutside(t *testing.T) {
	cmd, lines := isolated(t, "orphan")
	if !lines.Scan() {
		t.Fatal("the helper ended early")
	}
	orphans := func() int { return strings.Count(strings.Join(otherProcesses(), "\n"), fmt.Sprintf("%q", orphan)) }
	// A process that is about to exec its program has no command line yet.
	eventually(t, "there is an orphan to lose", func() bool { return orphans() == 1 })
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	exitCode(cmd)
	eventually(t, "the inside is gone", func() bool { return orphans() == 0 })
}

func TestExposedAddressLeadsInside(t *testing.T) {
	cmd, lines := isolated(t, "greet")
	conn, err := net.Dial("tcp", strings.Fields(lines.Text())[2])
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if greeting, err := bufio.NewReader(conn).ReadString('\n'); greeting != "hello\n" {
		t.Errorf("%q, %v", greeting, err)
	}
	if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	exitCode(cmd)
}
