// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

import type { ComponentChildren } from 'preact';
import type { State, Weight } from './model';

/** What a state means to a person who looks: all is well, somebody has to act, something moves, something is wrong. */
export type Tone = 'good' | 'hold' | 'move' | 'bad' | 'dim';

export const tones: Record<State, Tone> = {
  Unknown: 'dim', Initializing: 'move', Healthy: 'good', Progressing: 'move', Paused: 'hold', Promoting: 'move',
  Aborting: 'bad', Aborted: 'bad', Degraded: 'bad', Terminating: 'move',
};

const icons: Record<Tone, string> = {
  good: 'M3.5 8.5 6.5 11.5 12.5 4.5',
  hold: 'M6 4v8M10 4v8',
  move: 'M5 3.5 10.5 8 5 12.5',
  bad: 'M4.5 4.5l7 7M11.5 4.5l-7 7',
  dim: 'M5 8h6',
};

/** A sign with a word. The word alone says it all, so the sign is hidden from screen readers. */
export function Badge({ tone, children }: { tone: Tone; children: ComponentChildren }) {
  return (
    <span class={`badge ${tone}`}>
      <svg viewBox="0 0 16 16" width="12" height="12" aria-hidden="true"><path d={icons[tone]} /></svg>
      {children}
    </span>
  );
}

/** The share of the traffic: solid for what is verified, hatched for what is only desired so far. */
export function Share({ weight }: { weight: Weight }) {
  const { verified, desired } = weight;
  const text = verified === desired ? `${verified} %` : `${verified} → ${desired} %`;
  const label = verified === desired ? `${verified} % verified` : `${verified} % verified, ${desired} % desired`;
  return (
    <span class="share" role="img" aria-label={label}>
      <span class="bar">
        <span class="desired" style={{ width: `${Math.max(desired, verified)}%` }} />
        <span class="verified" style={{ width: `${verified}%` }} />
      </span>
      <span class="number" aria-hidden="true">{text}</span>
    </span>
  );
}

/** A message of the operator, with its commands set off. */
export function Message({ text }: { text: string }) {
  const parts = text.split(/(kubectl canary \S+ \S+(?: --full)?(?: -n \S+)?)/);
  return <>{parts.map((part, i) => (i % 2 === 1 ? <code key={i}>{part}</code> : part))}</>;
}

/** A part of a page with a heading. */
export function Section({ title, aside, class: kind, children }: {
  title: string; aside?: ComponentChildren; class?: string; children: ComponentChildren;
}) {
  const id = `section-${title.toLowerCase().replace(/\W+/g, '-')}`;
  return (
    <section class={`section ${kind ?? ''}`} aria-labelledby={id}>
      <header><h2 id={id}>{title}</h2>{aside}</header>
      {children}
    </section>
  );
}
