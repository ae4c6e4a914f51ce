// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

import type { Metric } from './model';
import { Badge, Section, type Tone } from './parts';

const tones: Record<string, Tone> = { failed: 'bad', passed: 'good', inconclusive: 'hold', 'no answer': 'hold', open: 'move' };

/** The metrics of the release, each with how far its evidence has come towards either verdict. */
export function Evidence({ metrics }: { metrics: Metric[] }) {
  return (
    <Section title="Metrics">
      <ul class="metrics">
        {metrics.map((metric) => (
          <li key={`${metric.scope} ${metric.name}`}>
            <p class="head"><b>{metric.name}</b> <span class="aside">{metric.scope?.toLowerCase()}</span> <Badge tone={tones[metric.word] ?? 'dim'}>{metric.word}</Badge></p>
            <Bar kind="fail" percent={metric.failureEvidence ?? 0} of={metric.name} />
            <Bar kind="pass" percent={metric.passEvidence ?? 0} of={metric.name} />
            {metric.message && <p class="detail">{metric.message}</p>}
          </li>
        ))}
      </ul>
    </Section>
  );
}

/** Evidence in percent of what a verdict takes. */
function Bar({ kind, percent, of }: { kind: 'fail' | 'pass'; percent: number; of: string }) {
  const value = Math.min(Math.max(percent, 0), 100);
  return (
    <div class={`evidence ${kind}`}>
      <span class="label" aria-hidden="true">to {kind}</span>
      <span class="bar" role="progressbar" aria-label={`Evidence of ${of} to ${kind}`} aria-valuemin={0} aria-valuemax={100} aria-valuenow={value}>
        <span style={{ width: `${value}%` }} />
      </span>
      <span class="number" aria-hidden="true">{percent} %</span>
    </div>
  );
}
