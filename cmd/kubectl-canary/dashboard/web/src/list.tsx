// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

import { computed, signal } from '@preact/signals';
import { useEffect, useRef } from 'preact/hooks';
import { keyOf, type Item, type ListEvent, type State } from './model';
import { Badge, Message, Share, tones } from './parts';
import { about, follow } from './stream';
import { since } from './time';

/** What needs a person comes first. */
const urgency: State[] = [
  'Degraded', 'Aborting', 'Aborted', 'Paused', 'Promoting', 'Progressing', 'Initializing', 'Terminating', 'Unknown', 'Healthy',
];

const items = signal<ReadonlyMap<string, Item> | null>(null);
const filter = signal('');
const state = signal<State | null>(null);
const order = signal<{ column: Column; isDown: boolean }>({ column: 'state', isDown: false });

type Column = 'name' | 'namespace' | 'state' | 'weight' | 'ready' | 'age';

const columns: { id: Column | null; title: string }[] = [
  { id: 'name', title: 'Name' }, { id: 'namespace', title: 'Namespace' }, { id: 'state', title: 'State' }, { id: null, title: 'Step' },
  { id: 'weight', title: 'Weight' }, { id: null, title: 'Revision' }, { id: 'ready', title: 'Ready' }, { id: 'age', title: 'Age' },
  { id: null, title: 'Waits for' },
];

const missing = (item: Item) => {
  const [ready = 0, desired = 0] = (item.ready ?? '').split('/').map(Number);
  return desired - ready;
};

const comparisons: Record<Column, (a: Item, b: Item) => number> = {
  name: (a, b) => a.name.localeCompare(b.name),
  namespace: (a, b) => a.namespace.localeCompare(b.namespace),
  state: (a, b) => urgency.indexOf(a.state) - urgency.indexOf(b.state),
  weight: (a, b) => (a.weight?.verified ?? -1) - (b.weight?.verified ?? -1),
  ready: (a, b) => missing(b) - missing(a),
  age: (a, b) => b.createdAt.localeCompare(a.createdAt),
};

/** The rollouts that the text matches, whatever their state. */
const matching = computed(() => {
  const words = filter.value.toLowerCase().split(/\s+/).filter(Boolean);
  return [...(items.value?.values() ?? [])].filter((item) => {
    const text = `${item.namespace} ${item.name} ${item.state} ${item.images ?? ''} ${item.message ?? ''} ${item.revision ?? ''}`.toLowerCase();
    return words.every((word) => text.includes(word));
  });
});

const counts = computed(() => {
  const found = new Map<State, number>();
  for (const item of matching.value) found.set(item.state, (found.get(item.state) ?? 0) + 1);
  return urgency.filter((s) => found.has(s) || s === state.value).map((s) => [s, found.get(s) ?? 0] as const);
});

const shown = computed(() => {
  const { column, isDown } = order.value;
  const compare = comparisons[column];
  return matching.value
    .filter((item) => state.value === null || item.state === state.value)
    .sort((a, b) => (isDown ? -1 : 1) * compare(a, b) || keyOf(a).localeCompare(keyOf(b)));
});

function take(event: ListEvent) {
  const next = new Map(event.isComplete ? [] : items.value);
  for (const item of event.items) next.set(keyOf(item), item);
  for (const key of event.gone ?? []) next.delete(key);
  items.value = next;
}

function headline(namespaces: string[]) {
  if (namespaces.length === 0) return 'Rollouts';
  return `Rollouts of ${namespaces.length === 1 ? 'namespace' : 'namespaces'} ${namespaces.join(', ')}`;
}

export function List() {
  const search = useRef<HTMLInputElement>(null);
  useEffect(() => follow('./api/rollouts', { list: take }), []);
  useEffect(() => {
    document.title = 'CanaryRollouts';
    const slash = (event: KeyboardEvent) => {
      if (event.key !== '/' || event.target instanceof HTMLInputElement) return;
      event.preventDefault();
      search.current?.focus();
    };
    addEventListener('keydown', slash);
    return () => removeEventListener('keydown', slash);
  }, []);
  return (
    <>
      <div class="title">
        <h1>{headline(about.value.namespaces ?? [])}</h1>
        <label class="search">
          <span class="hidden">Filter by name, namespace, image or message</span>
          <input ref={search} type="search" placeholder="Filter ( / )" value={filter.value} spellcheck={false} autocomplete="off"
            onInput={(event) => { filter.value = event.currentTarget.value; }} />
        </label>
      </div>
      {about.value.notice && <p class="note">{about.value.notice}</p>}
      {about.value.problem && <p class="note bad" role="alert">The cluster cannot be watched, so this may be out of date: {about.value.problem}</p>}
      <States />
      <Table />
    </>
  );
}

function States() {
  if (items.value === null) return null;
  const total = matching.value.length;
  const choose = (next: State | null) => () => { state.value = state.value === next ? null : next; };
  return (
    <div class="states" role="group" aria-label="Show one state only">
      <button aria-pressed={state.value === null} onClick={choose(null)}>All <b>{total}</b></button>
      {counts.value.map(([s, count]) => (
        <button key={s} aria-pressed={state.value === s} onClick={choose(s)}><Badge tone={tones[s]}>{s}</Badge> <b>{count}</b></button>
      ))}
    </div>
  );
}

function Table() {
  if (items.value === null) return <p class="empty">Reading the rollouts.</p>;
  if (items.value.size === 0) return <p class="empty">There are no rollouts here yet. A CanaryRollout appears as soon as it is applied.</p>;
  if (shown.value.length === 0) return <p class="empty">No rollout matches the filter.</p>;
  return (
    <table class="list" role="table">
      <caption class="hidden">Rollouts, {shown.value.length} of {items.value.size} shown</caption>
      <thead role="rowgroup">
        <tr role="row">{columns.map((column) => <Header key={column.title} {...column} />)}</tr>
      </thead>
      <tbody role="rowgroup">{shown.value.map((item) => <Row key={keyOf(item)} item={item} />)}</tbody>
    </table>
  );
}

function Header({ id, title }: { id: Column | null; title: string }) {
  if (id === null) return <th role="columnheader" scope="col">{title}</th>;
  const isOurs = order.value.column === id;
  const sorted = !isOurs ? 'none' : order.value.isDown ? 'descending' : 'ascending';
  return (
    <th role="columnheader" scope="col" aria-sort={sorted}>
      <button class="sort" onClick={() => { order.value = { column: id, isDown: isOurs && !order.value.isDown }; }}>
        {title}<span aria-hidden="true">{isOurs ? (order.value.isDown ? ' ↓' : ' ↑') : ''}</span>
      </button>
    </th>
  );
}

function Row({ item }: { item: Item }) {
  const link = `#/${item.namespace}/${item.name}`;
  return (
    <tr role="row">
      <th role="rowheader" scope="row" class="name"><a href={link} title={item.name}>{item.name}</a></th>
      <td role="cell" class="namespace">{item.namespace}</td>
      <td role="cell" class="state"><Badge tone={tones[item.state]}>{item.state}</Badge></td>
      <td role="cell" class="step">{item.step ?? '–'}</td>
      <td role="cell" class="weight">{!item.weight ? '–' : item.state === 'Healthy' ? <span class="aside">{item.weight.verified} %</span> : <Share weight={item.weight} />}</td>
      <td role="cell" class="revision"><code>{item.revision ?? '–'}</code></td>
      <td role="cell" class="ready">{item.ready ?? '–'}</td>
      <td role="cell" class="age"><Age at={item.createdAt} /></td>
      <td role="cell" class="message">{item.message && <span title={item.message}><Message text={item.message} /></span>}</td>
    </tr>
  );
}

/** Only this is shown again every second, not the whole row. */
function Age({ at }: { at: string }) {
  return <time dateTime={at} title={new Date(at).toLocaleString()}>{since(at)}</time>;
}
