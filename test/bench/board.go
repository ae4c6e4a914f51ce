// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/types"
)

// A board has what the last watch event of every object said, and knows who waits for what.
type board[T any] struct {
	mu       sync.Mutex
	items    map[types.NamespacedName]T
	awaiting map[*awaited[T]]struct{}
}

// awaited is what somebody waits for.
type awaited[T any] struct {
	what string
	fits func(map[types.NamespacedName]T) bool
	met  chan time.Time
}

func newBoard[T any]() *board[T] {
	return &board[T]{items: map[types.NamespacedName]T{}, awaiting: map[*awaited[T]]struct{}{}}
}

func (b *board[T]) get(key types.NamespacedName) T {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.items[key]
}

// set replaces an object by what next returns for it.
func (b *board[T]) set(key types.NamespacedName, next func(before T) T) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.items[key] = next(b.items[key])
	for a := range b.awaiting {
		b.check(a)
	}
}

// check requires the lock.
func (b *board[T]) check(a *awaited[T]) {
	if a.fits(b.items) {
		a.met <- time.Now()
		delete(b.awaiting, a)
	}
}

// expect begins to wait, before the change that is expected to lead to it.
func (b *board[T]) expect(what string, fits func(map[types.NamespacedName]T) bool) *awaited[T] {
	b.mu.Lock()
	defer b.mu.Unlock()
	a := &awaited[T]{what: what, fits: fits, met: make(chan time.Time, 1)}
	b.awaiting[a] = struct{}{}
	b.check(a)
	return a
}

// expectOne is expect for one object.
func (b *board[T]) expectOne(key types.NamespacedName, what string, fits func(T) bool) *awaited[T] {
	return b.expect(what, func(items map[types.NamespacedName]T) bool {
		item, exists := items[key]
		return exists && fits(item)
	})
}

// wait returns when it was first so.
func (a *awaited[T]) wait(ctx context.Context) (time.Time, error) {
	select {
	case at := <-a.met:
		return at, nil
	case <-ctx.Done():
		return time.Time{}, fmt.Errorf("waiting for %s: %w", a.what, context.Cause(ctx))
	}
}
