// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

import type { Page, Step } from './model';
import { Section } from './parts';

type Place = 'done' | 'current' | 'next';

/** The steps of the release, each as high as the weight that it asks for, so that the whole looks like stairs. On a phone they lie on their side. */
export function Track({ page }: { page: Page }) {
  const { steps, currentStep } = page;
  if (steps.length === 0) {
    return <Section title="Steps"><p class="empty">This rollout has no steps: a new revision gets all traffic once its pods are ready.</p></Section>;
  }
  const isOn = currentStep >= 0;
  const aside = !isOn ? 'of the next release' : currentStep >= steps.length ? 'all done' : `step ${currentStep + 1} of ${steps.length}`;
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
        <span class="hidden">({words[place]}{step.untilPromoted ? ', ends when somebody promotes' : ''}, weight {step.weight} %)</span>
      </span>
    </li>
  );
}
