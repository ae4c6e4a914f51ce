// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

import type { HistoryEntry } from './model';
import { Badge, Section, type Tone } from './parts';
import { clock, duration, now } from './time';

const tones: Record<string, Tone> = { Promoted: 'good', Aborted: 'bad', InProgress: 'move', Superseded: 'dim', Reverted: 'dim' };

/** The last releases, newest first. */
export function History({ entries }: { entries: HistoryEntry[] }) {
  return (
    <Section title="History">
      {entries.length === 0 ? <p class="empty">No releases yet.</p> : (
        <ol class="history">{entries.map((entry) => <Entry key={`${entry.revision} ${entry.startedAt}`} entry={entry} />)}</ol>
      )}
    </Section>
  );
}

function Entry({ entry }: { entry: HistoryEntry }) {
  return (
    <li>
      <p class="head">
        <code>{entry.revision}</code>
        {entry.outcome && <Badge tone={tones[entry.outcome] ?? 'dim'}>{entry.outcome === 'InProgress' ? 'In progress' : entry.outcome}</Badge>}
        {entry.startedAt && <span class="aside"><time dateTime={entry.startedAt}>{clock(entry.startedAt)}</time>, <Took entry={entry} /></span>}
        <span class="aside by">{who(entry)}</span>
      </p>
      {entry.images && <p class="image"><code>{entry.images}</code></p>}
      {entry.message && <p class="detail">{entry.message}</p>}
    </li>
  );
}

/** Who started a release, and who ended it unless it ended by itself. */
function who({ startedBy, endedBy, outcome }: HistoryEntry) {
  const end = endedBy ? `, ${(outcome ?? 'ended').toLowerCase()} by ${endedBy}` : '';
  return `by ${startedBy ?? 'unknown'}${end}`;
}

function Took({ entry }: { entry: HistoryEntry }) {
  const end = entry.endedAt ? Date.parse(entry.endedAt) : now.value;
  return <>{entry.endedAt ? 'took' : 'for'} {duration(end - Date.parse(entry.startedAt!))}</>;
}
