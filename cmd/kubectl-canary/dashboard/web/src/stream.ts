// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

import { signal } from '@preact/signals';
import type { About } from './model';

/** What the dashboard says about itself. */
export const about = signal<About>({});

/** Whether the dashboard answers. Whether the API server answers it is in About. */
export const connection = signal<'connecting' | 'live' | 'lost'>('connecting');

/** How long nothing may come until the connection counts as lost. The server sends something every 5 seconds. */
const patience = 15_000;
/** How long to wait before connecting again. */
const again = 1_000;
/** How long a page may be hidden until it stops watching. Browsers allow few connections, and each costs watches. */
const hiddenFor = 30_000;

/**
 * Receives server-sent events of a path until the returned function is called. It connects again by itself, also where an EventSource
 * would give up.
 */
export function follow(path: string, pageHandlers: Record<string, (data: never) => void>): () => void {
  const handlers = { ...pageHandlers, about: (next: About) => { about.value = next; } } as typeof pageHandlers;
  let source: EventSource | undefined;
  let watchdog = 0, retry = 0, hide = 0;

  const close = () => {
    clearTimeout(watchdog);
    clearTimeout(retry);
    source?.close();
    source = undefined;
  };
  const lost = () => {
    close();
    connection.value = 'lost';
    retry = window.setTimeout(open, again);
  };
  const listen = () => {
    clearTimeout(watchdog);
    watchdog = window.setTimeout(lost, patience);
  };
  function open() {
    close();
    source = new EventSource(path);
    source.onerror = lost;
    for (const name of [...Object.keys(handlers), 'beat']) {
      source.addEventListener(name, (event) => {
        connection.value = 'live';
        listen();
        handlers[name]?.(JSON.parse(event.data) as never);
      });
    }
    listen();
  }
  const visibility = () => {
    clearTimeout(hide);
    if (document.hidden) hide = window.setTimeout(close, hiddenFor);
    else if (!source) open();
  };

  document.addEventListener('visibilitychange', visibility);
  open();
  return () => {
    document.removeEventListener('visibilitychange', visibility);
    clearTimeout(hide);
    close();
  };
}
