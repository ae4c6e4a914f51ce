// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

import { signal } from '@preact/signals';

/** The time, in milliseconds. It changes every second, so what reads it is shown again. */
export const now = signal(Date.now());
setInterval(() => { now.value = Date.now(); }, 1000);

const units: [string, number][] = [['d', 86_400], ['h', 3_600], ['m', 60], ['s', 1]];

/** Formats a duration in its two largest units: 2h 5m. */
export function duration(milliseconds: number): string {
  let seconds = Math.max(Math.round(milliseconds / 1000), 0);
  const parts: string[] = [];
  for (const [unit, size] of units) {
    const count = Math.floor(seconds / size);
    seconds -= count * size;
    if (count > 0) parts.push(`${count}${unit}`);
    if (parts.length > 0 && (parts.length === 2 || count === 0)) break;
  }
  return parts.join(' ') || '0s';
}

/** Shortens a duration as Go writes it: 10m instead of 10m0s. */
export const short = (text: string) => text.replace(/(?<=[hm])0s$/, '').replace(/(?<=h)0m$/, '');

/** The time since a moment. */
export const since = (at: string) => duration(now.value - Date.parse(at));

/** The time until a moment; 0s only when it has come. */
export const until = (at: string) => duration(Math.ceil(Math.max(Date.parse(at) - now.value, 0) / 1000) * 1000);

/** 24 hours, as in the operator's messages, and short enough for the labels of a plot. */
export const hours = { hourCycle: 'h23' } as const;

/** A moment as a person reads it: only the time of day for today. */
export function clock(at: string): string {
  const date = new Date(at);
  const isToday = date.toDateString() === new Date(now.peek()).toDateString();
  return isToday ? date.toLocaleTimeString([], hours) : date.toLocaleString([], hours);
}
