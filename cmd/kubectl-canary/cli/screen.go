// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/canaryrollout/canaryrollout/cmd/kubectl-canary/view"
)

// Terminal control sequences. Each frame is drawn over the previous one, line by line, to avoid flicker.
const (
	enterScreen = "\x1b[?1049h\x1b[?25l"
	leaveScreen = "\x1b[?25h\x1b[?1049l"
	home        = "\x1b[H"
	clearLine   = "\x1b[K"
	clearBelow  = "\x1b[J"
)

// screen shows a changing text. In a terminal it redraws in place; elsewhere it prints the text again whenever
// something other than the time has changed.
type screen struct {
	o *Options
	// render returns the text for a point in time.
	render func(view.Style, time.Time) frame

	isTerminal bool
	started    time.Time
	last       string
}

// frame is a text, and whether it is the last one. An idle frame is not shown.
type frame struct {
	text           string
	isLast, isIdle bool
}

const (
	// mostOften is the minimum time between two frames, and atLeast the maximum, so that countdowns continue.
	mostOften = 100 * time.Millisecond
	atLeast   = time.Second
)

// show shows frames until the last one, or until the context is done.
func (o *Options) show(ctx context.Context, dirty <-chan struct{}, render func(view.Style, time.Time) frame) error {
	_, _, isTerminal := o.Size()
	s := &screen{o: o, render: render, isTerminal: isTerminal, started: o.Now()}
	if isTerminal {
		if err := o.control(enterScreen); err != nil {
			return err
		}
	}
	err := s.loop(ctx, dirty)
	if isTerminal {
		_ = o.control(leaveScreen + safe(s.last)) // the first error is the one to report
	}
	return err
}

func (s *screen) loop(ctx context.Context, dirty <-chan struct{}) error {
	clock := time.NewTicker(atLeast)
	defer clock.Stop()
	for {
		isLast, err := s.draw()
		if err != nil || isLast {
			return err
		}
		select {
		case <-ctx.Done():
			return nil
		case <-dirty:
		case <-clock.C:
		}
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(s.rest()):
		}
	}
}

// rest returns how long to wait for more changes before the next frame. The first frame does not wait.
func (s *screen) rest() time.Duration {
	if s.last == "" {
		return 0
	}
	return mostOften
}

// style leaves the last column empty: clearing the rest of a line would erase a character there.
func (s *screen) style() view.Style {
	style := s.o.style()
	style.Width = max(style.Width-1, 0)
	return style
}

func (s *screen) draw() (isLast bool, err error) {
	next := s.render(s.style(), s.o.Now())
	if next.isIdle {
		return false, nil
	}
	if s.isTerminal {
		s.last = next.text
		_, height, _ := s.o.Size()
		return next.isLast, s.o.control(over(safe(next.text), height))
	}
	// Rendered for the same time, two frames differ only if something has changed.
	if now := s.render(s.style(), s.started).text; now != s.last || next.isLast {
		separator := ""
		if s.last != "" {
			separator = "\n"
		}
		s.last, err = now, s.o.print(separator+next.text)
	}
	return next.isLast, err
}

// over draws a frame over the previous one. Lines that do not fit are replaced by a line with their number.
func over(text string, height int) string {
	lines := strings.Split(strings.TrimSuffix(text, "\n"), "\n")
	if len(lines) > height && height > 1 {
		left := len(lines) - height + 1
		lines = append(lines[:height-1:height-1], fmt.Sprintf("and %d more lines", left))
	}
	return home + strings.Join(lines, clearLine+"\r\n") + clearLine + clearBelow
}
