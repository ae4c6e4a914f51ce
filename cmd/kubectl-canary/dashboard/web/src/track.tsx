// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

import type { Page, Step } from './model';
import { Section } from './parts';
import { clock, duration, since } from './time';

type Place = 'done' | 'current' | 'next';

/** The steps of the release, each as high as the weight that it asks for, so that the whole looks like stairs. On a phone they lie on their side. */
export function Track({ page }: { page: Page }) {
  const { steps, currentStep } = page;
  if (steps.length === 0) {
    return <Section title="Steps"><p class="empty">This rollout has no steps: a new revision gets all traffic once its pods are ready.</p></Section>;
  }
  const isOn = currentStep >= 0;
  const aside = !isOn ? `of the next release${steps.some((step) => step.startedAt) ? ', with the times of the last one' : ''}` : currentStep >= steps.length ? 'all done' : `step ${currentStep + 1} of ${steps.length}`;
  return (
    <Section title="Steps" aside={<p class="aside">{aside}</p>}>
      <ol class="track">
        {steps.map((step, i) => <Stair key={i} step={step} number={i + 1} place={!isOn || i > currentStep ? 'next' : i < currentStep ? 'done' : 'current'} />)}
      </ol>
    </Section>
  );
}

const words: Record<Place, string> = { done: 'done', current: 'current step', next: 'to come' };

function Stair({ step, number, place }: { step: Step; number: number; place: Place }) {
  return (
    <li class={place} aria-current={place === 'current' ? 'step' : undefined}>
      <span class="tread" aria-hidden="true"><span style={{ '--weight': `${Math.max(step.weight, 2)}%` }} /></span>
      <span class="text">
        <span class="number">{number}</span> <b>{step.what}</b>
        {step.details && <span class="detail">{step.details}</span>}
        {step.startedAt && (step.endedAt || place === 'current') && <span class="detail times"><Times startedAt={step.startedAt} endedAt={step.endedAt} waitingSeconds={step.waitingSeconds} /></span>}
        <span class="hidden">({words[place]}{step.untilPromoted ? ', ends when somebody promotes' : ''}, weight {step.weight} %)</span>
      </span>
    </li>
  );
}

/** How long a step took and how much of that it waited, or since when it runs. */
function Times({ startedAt, endedAt, waitingSeconds = 0 }: { startedAt: string; endedAt?: string; waitingSeconds?: number }) {
  if (!endedAt) return <>since <time dateTime={startedAt}>{clock(startedAt)}</time>, for {since(startedAt)}</>;
  const waiting = waitingSeconds > 0 ? `, ${duration(waitingSeconds * 1000)} of it waiting` : '';
  return <>took {duration(Date.parse(endedAt) - Date.parse(startedAt))}{waiting}</>;
}
