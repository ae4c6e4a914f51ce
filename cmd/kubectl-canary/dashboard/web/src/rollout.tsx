// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

import { useSignal } from '@preact/signals';
import { useEffect, useRef } from 'preact/hooks';
import { Actions } from './actions';
import { Evidence } from './evidence';
import { History } from './history';
import type { Page } from './model';
import { Badge, Message, Section, Share, tones } from './parts';
import { Plot } from './plot';
import { Revisions } from './revisions';
import { about, follow } from './stream';
import { clock, until } from './time';
import { Track } from './track';

export function Rollout({ namespace, name }: { namespace: string; name: string }) {
  const page = useSignal<Page | null>(null);
  useEffect(() => {
    document.title = `${name} – CanaryRollouts`;
    return follow(`./api/rollouts/${encodeURIComponent(namespace)}/${encodeURIComponent(name)}`, {
      page: (next: Page) => { page.value = next; },
    });
  }, []);
  const current = page.value;
  return (
    <>
      {about.value.problem && <p class="note bad" role="alert">The cluster cannot be watched, so this may be out of date: {about.value.problem}</p>}
      {current === null && <p class="empty">Reading {name}.</p>}
      {current?.deleted && (
        <p class="empty">There is no rollout {name} in namespace {namespace}. It was deleted, or the link is wrong. <a href="#/">Show all rollouts</a></p>
      )}
      {current && !current.deleted && <Shown page={current} />}
    </>
  );
}

function Shown({ page }: { page: Page }) {
  return (
    <>
      <Announcement page={page} />
      <div class="title">
        <h1>{page.name} <small>{page.namespace}</small></h1>
        <Badge tone={tones[page.state]}>{page.state}</Badge>
        {page.weight && page.state !== 'Healthy' && <Share weight={page.weight} />}
      </div>
      <Waits page={page} />
      {page.offers.length > 0 && <Actions page={page} />}
      {page.problems && <ul class="note bad">{page.problems.map((problem) => <li key={problem}>Cannot be shown: {problem}</li>)}</ul>}
      <Track page={page} />
      <div class="pair">
        <Plot points={page.points} samples={page.samples} />
        {page.metrics.length > 0 && <Evidence metrics={page.metrics} />}
        <Traffic page={page} />
      </div>
      <Revisions revisions={page.revisions} />
      <div class="pair">
        <Events page={page} />
        <History entries={page.history} />
      </div>
    </>
  );
}

/** What the rollout waits for, in the words of the operator, and how long yet. */
function Waits({ page }: { page: Page }) {
  return (
    <div class={`waits ${tones[page.state]}`}>
      <p>{page.message ? <Message text={page.message} /> : 'The operator has said nothing yet.'}</p>
      {page.pause?.until && (
        <p class="countdown"><b><Countdown at={page.pause.until} /></b> left{page.pause.then ? `, then ${page.pause.then}` : ''}</p>
      )}
      {page.trouble && <p><b>Not ready:</b> {page.trouble}</p>}
      {page.outdated && <p>The operator has not processed the last change of the spec yet.</p>}
    </div>
  );
}

function Countdown({ at }: { at: string }) {
  return <time dateTime={at}>{until(at)}</time>;
}

/** Tells screen readers what has changed, and nothing else: not each message, and not the first state. */
function Announcement({ page }: { page: Page }) {
  const text = `${page.name} is ${page.state}${page.step ? `, step ${page.step}` : ''}`;
  const first = useRef(text);
  return <p class="hidden" role="status">{text === first.current ? '' : text}</p>;
}

function Traffic({ page }: { page: Page }) {
  const routes = page.traffic?.routes ?? [];
  const headers = page.traffic?.headerRoutes ?? [];
  const mirror = page.traffic?.mirrorPercent ?? 0;
  if (routes.length === 0 && headers.length === 0 && mirror === 0) return null;
  return (
    <Section title="Routes">
      <ul class="plain">
        {routes.map((route) => (
          <li key={`${route.kind}/${route.name}`}>
            <span class="what">{route.kind} <b>{route.name}</b></span>
            <Share weight={{ verified: route.verifiedWeight ?? 0, desired: route.desiredWeight }} />
            {route.pending && <p class="detail">{route.pending}</p>}
          </li>
        ))}
        {headers.length > 0 && <li>Header routes to the canary: {headers.join(', ')}</li>}
        {mirror > 0 && <li>{mirror} % of the requests are mirrored to the canary</li>}
      </ul>
    </Section>
  );
}

function Events({ page }: { page: Page }) {
  return (
    <Section title="Events">
      {page.events.length === 0 ? <p class="empty">No Events. A cluster keeps them for about an hour.</p> : (
        <ol class="events scroll" tabIndex={0} aria-label="Events, newest first">
          {page.events.map((event) => (
            <li key={`${event.at} ${event.reason} ${event.message}`} class={event.type === 'Warning' ? 'warning' : ''}>
              <time dateTime={event.at}>{clock(event.at)}</time>
              <b>{event.type === 'Warning' && <span class="hidden">Warning: </span>}{event.reason}{event.count > 1 && ` ×${event.count}`}</b>
              <span>{event.message}</span>
            </li>
          ))}
        </ol>
      )}
    </Section>
  );
}
