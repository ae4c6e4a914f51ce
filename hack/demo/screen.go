// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"strings"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// textWidth is the width of explanations, and of terminals that do not report theirs.
const textWidth = 80

// refresh is the interval between redraws of the live line.
const refresh = 200 * time.Millisecond

// screen prints lines, and on a terminal keeps a live line below them, which is redrawn in place.
type screen struct {
	style style
	// live reports whether it is a terminal.
	live bool

	mu     sync.Mutex
	out    *os.File
	status string
}

func newScreen(out *os.File) *screen {
	_, err := unix.IoctlGetWinsize(int(out.Fd()), unix.TIOCGWINSZ)
	term := os.Getenv("TERM")
	live := err == nil && term != "" && term != "dumb"
	return &screen{out: out, live: live, style: style{
		color: live && os.Getenv("NO_COLOR") == "",
		ascii: !strings.Contains(strings.ToUpper(firstSet("LC_ALL", "LC_CTYPE", "LANG")), "UTF"),
	}}
}

// firstSet returns the first of these variables that is set, as the C library does to find the character set.
func firstSet(names ...string) string {
	for _, name := range names {
		if value := os.Getenv(name); value != "" {
			return value
		}
	}
	return ""
}

// width queries the width each time, because windows can be resized.
func (s *screen) width() int {
	if size, err := unix.IoctlGetWinsize(int(s.out.Fd()), unix.TIOCGWINSZ); err == nil && size.Col > 0 {
		return int(size.Col)
	}
	return textWidth
}

// setStatus changes the live line. It must not be wider than the terminal.
func (s *screen) setStatus(status string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.status = status
	s.draw("")
}

// draw prints text, which must be complete lines, above the live line.
func (s *screen) draw(text string) {
	if s.live {
		text = "\r\x1b[K" + text + s.status
	}
	_, _ = s.out.WriteString(text) // an error could not be reported anywhere
}

func (s *screen) line(line string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.draw(line + "\n")
}

// Write prints the output of other programs.
func (s *screen) Write(p []byte) (int, error) {
	for line := range bytes.Lines(p) {
		s.line(s.style.paint(dim, "  "+strings.TrimRight(string(line), "\r\n")))
	}
	return len(p), nil
}

func (s *screen) title(title string) {
	s.line("\n" + s.style.paint(bold, wrap(title, "", textWidth-1)))
}

// text prints an explanation.
func (s *screen) text(format string, args ...any) {
	s.line(wrap(fmt.Sprintf(format, args...), "", textWidth-1))
}

// entry prints a log line with the time of the event. Lines are not wrapped in a pipe, for grep.
func (s *screen) entry(at time.Duration, color, text string) {
	width := s.width() - 1
	if !s.live {
		width = 0
	}
	stamp := fmt.Sprintf("%7.1fs  ", at.Seconds())
	text = wrap(text, strings.Repeat(" ", len(stamp)), width-len(stamp))
	s.line(stamp + s.style.paint(color, text))
}

// await shows what it waits for, and for how long.
func (s *screen) await(what string, do func() error) error {
	began := time.Now()
	done := make(chan error, 1)
	go func() { done <- do() }()
	tick := time.NewTicker(refresh)
	defer tick.Stop()
	for {
		select {
		case err := <-done:
			s.setStatus("")
			if err == nil {
				s.line(fmt.Sprintf("  %s: done in %.1f s", what, time.Since(began).Seconds()))
			}
			return err
		case <-tick.C:
			s.setStatus(fmt.Sprintf("  %s: %.0f s", what, time.Since(began).Seconds()))
		}
	}
}

// failure prints why the demo ends, and returns the exit code.
func (s *screen) failure(err error) int {
	s.setStatus("")
	if errors.Is(err, errStopped) {
		s.line("\nStopped. Nothing is left behind.")
		return interrupted
	}
	s.line("\n" + s.style.paint(red, "The demo has failed: "+err.Error()))
	return 1
}
