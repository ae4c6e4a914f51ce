// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

import { useState } from 'preact/hooks';
import type { Pod, Revision } from './model';
import { Badge, Section, type Tone } from './parts';
import { since, until } from './time';

const tones: Record<string, Tone> = {
  stable: 'good', canary: 'hold', 'first deploy': 'hold', aborted: 'bad', superseded: 'dim', draining: 'dim', former: 'dim',
};

/** The revisions with pods, and those without on request. */
export function Revisions({ revisions }: { revisions: Revision[] }) {
  const [isAll, setAll] = useState(false);
  const alive = revisions.filter((revision) => revision.role !== 'former' || revision.total > 0);
  const shown = isAll ? revisions : alive;
  const others = revisions.length - alive.length;
  const more = others > 0 && (
    <button class="quiet" aria-expanded={isAll} onClick={() => setAll(!isAll)}>{isAll ? 'Hide' : 'Show'} {others} without pods</button>
  );
  return (
    <Section title="Revisions" aside={more}>
      {shown.length === 0 && <p class="empty">No ReplicaSets yet.</p>}
      <ul class="revisions">{shown.map((revision) => <Card key={revision.name} revision={revision} />)}</ul>
    </Section>
  );
}

function Card({ revision }: { revision: Revision }) {
  return (
    <li>
      <p class="head">
        <code>{revision.name}</code> <Badge tone={tones[revision.role] ?? 'dim'}>{revision.role}</Badge>
        <span class="aside">{revision.ready}/{revision.desired} ready{revision.createdAt && <>, created <Since at={revision.createdAt} /> ago</>}</span>
      </p>
      {revision.images.map((image) => <p key={image} class="image"><code>{image}</code></p>)}
      {revision.scaledDownAt && <p class="detail">Its pods go in <Until at={revision.scaledDownAt} />.</p>}
      {revision.pods.length > 0 && <ul class="pods">{revision.pods.map((pod) => <PodLine key={pod.name} pod={pod} />)}</ul>}
    </li>
  );
}

function PodLine({ pod }: { pod: Pod }) {
  const tone: Tone = pod.hasFailed ? 'bad' : pod.isReady ? 'good' : pod.reason === 'Terminating' ? 'dim' : 'hold';
  return (
    <li>
      <span class="pod">{pod.name}</span>
      <Badge tone={tone}>{pod.reason}</Badge>
      <span class="aside">{pod.restarts ? `${pod.restarts} restarts, ` : ''}<Since at={pod.createdAt} /></span>
      {pod.message && <span class="detail">{pod.message}</span>}
    </li>
  );
}

function Since({ at }: { at: string }) {
  return <time dateTime={at}>{since(at)}</time>;
}

function Until({ at }: { at: string }) {
  return <time dateTime={at}>{until(at)}</time>;
}
