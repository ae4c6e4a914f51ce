// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

import { useSignal } from '@preact/signals';
import { useEffect, useRef } from 'preact/hooks';
import uPlot from 'uplot';
import type { Point, Sample } from './model';
import { Section } from './parts';
import { clock, hours } from './time';

const height = 180;

type Columns = [number[], number[], number[], (number | null)[]];

/** The columns of a plot: times in seconds, desired, verified and measured weights. A weight lasts until the next one, the last until now. */
function columnsOf(points: Point[], samples: Sample[], at: number): Columns {
  const columns: Columns = [[], [], [], []];
  const first = points[0];
  if (!first) return columns;
  const times = [...points, ...samples].map((entry) => Date.parse(entry.at)).filter((time) => time >= Date.parse(first.at));
  const measured = new Map(samples.map((sample) => [Date.parse(sample.at), sample.percent]));
  let next = 0;
  for (const time of [...new Set([...times, Math.max(at, ...times)])].sort((a, b) => a - b)) {
    while (next < points.length && Date.parse(points[next]!.at) <= time) next++;
    const point = points[next - 1] ?? first;
    columns[0].push(time / 1000);
    columns[1].push(point.desired);
    columns[2].push(point.verified);
    columns[3].push(measured.get(time) ?? null);
  }
  return columns;
}

/** What is under the cursor, or now. */
function readout(columns: Columns, index: number | null): string {
  const last = columns[0].length - 1;
  if (last < 0) return 'No weights yet.';
  const i = Math.min(index ?? last, last);
  const measured = columns[3][i];
  const when = index === null ? 'now' : clock(new Date(columns[0][i]! * 1000).toISOString());
  return `${when}: ${columns[2][i]} % verified, ${columns[1][i]} % desired${measured == null ? '' : `, ${measured} % measured`}`;
}

/** The canvas knows no custom properties that depend on the theme, so a probe element resolves them. */
function resolved(name: string): string {
  const probe = document.createElement('span');
  probe.style.color = `var(${name})`;
  document.body.append(probe);
  const value = getComputedStyle(probe).color;
  probe.remove();
  return value;
}

/** A label of the time axis, as precise as its labels are apart. */
function timeOf(seconds: number, increment: number): string {
  const date = new Date(seconds * 1000);
  if (increment >= 86_400) return date.toLocaleDateString([], { month: 'short', day: 'numeric' });
  return date.toLocaleTimeString([], { ...hours, hour: '2-digit', minute: '2-digit', second: increment < 60 ? '2-digit' : undefined });
}

function optionsOf(width: number, onCursor: (index: number | null) => void): uPlot.Options {
  const stepped = uPlot.paths.stepped!({ align: 1 });
  const line = resolved('--line'), text = resolved('--muted');
  const font = `11px ${getComputedStyle(document.body).fontFamily}`;
  const time: uPlot.Axis.DynamicValues = (_, splits, _axis, _space, increment) => splits.map((split) => timeOf(split, increment));
  const axis = { stroke: text, font, grid: { stroke: line, width: 1 }, ticks: { stroke: line, width: 1, size: 4 } };
  return {
    width, height,
    padding: [8, 24, 0, 0],
    legend: { show: false },
    cursor: { y: false, drag: { x: false, y: false }, points: { show: false } },
    scales: { y: { range: [0, 105] } },
    axes: [{ ...axis, space: 55, values: time }, { ...axis, size: 42, splits: [0, 25, 50, 75, 100], values: (_, splits) => splits.map((split) => `${split} %`) }],
    series: [
      {},
      { label: 'desired', stroke: resolved('--canary-text'), width: 1.5, dash: [4, 3], paths: stepped, points: { show: false } },
      { label: 'verified', stroke: resolved('--canary'), fill: resolved('--canary-soft'), width: 2, paths: stepped, points: { show: false } },
      { label: 'measured', stroke: text, paths: () => null, points: { show: true, size: 6, stroke: resolved('--ink'), fill: resolved('--surface') } },
    ],
    hooks: { setCursor: [(plot) => onCursor(plot.cursor.idx ?? null)] },
  };
}

/** The weights over time. The dashboard remembers them from its start, and the status tells when the release began. */
export function Plot({ points, samples }: { points: Point[]; samples: Sample[] }) {
  const frame = useRef<HTMLDivElement>(null);
  const plot = useRef<uPlot | null>(null);
  const cursor = useSignal<number | null>(null);
  const columns = useRef<Columns>([[], [], [], []]);
  columns.current = columnsOf(points, samples, Date.now());
  const latest = useRef({ points, samples });
  latest.current = { points, samples };

  useEffect(() => {
    const element = frame.current!;
    const draw = () => {
      plot.current?.destroy();
      plot.current = new uPlot(optionsOf(element.clientWidth, (index) => { cursor.value = index; }), columns.current, element);
    };
    draw();
    const size = new ResizeObserver(() => plot.current?.setSize({ width: element.clientWidth, height }));
    size.observe(element);
    const dark = matchMedia('(prefers-color-scheme: dark)');
    dark.addEventListener('change', draw);
    const theme = new MutationObserver(draw);
    theme.observe(document.documentElement, { attributeFilter: ['data-theme'] });
    const timer = setInterval(() => {
      columns.current = columnsOf(latest.current.points, latest.current.samples, Date.now());
      plot.current?.setData(columns.current);
    }, 5_000);
    return () => {
      clearInterval(timer);
      size.disconnect();
      theme.disconnect();
      dark.removeEventListener('change', draw);
      plot.current?.destroy();
      plot.current = null;
    };
  }, []);
  useEffect(() => { plot.current?.setData(columns.current); }, [points, samples]);

  const last = points[points.length - 1];
  const key = (
    <p class="key aside">
      <span class="verified">verified</span> <span class="desired">desired</span>
      {samples.length > 0 && <span class="measured">measured by {samples[samples.length - 1]!.metric}</span>}
    </p>
  );
  return (
    <Section title="Weight of the canary" aside={key}>
      <div ref={frame} class="plot" role="img" aria-label={last ? `Weight over time. Now ${last.verified} % verified, ${last.desired} % desired.` : 'No weights yet'} />
      <p class="readout" aria-hidden="true">{readout(columns.current, cursor.value)}</p>
      {points.length > 0 && <Values points={points} samples={samples} />}
    </Section>
  );
}

/** The plot for those who do not see it. */
function Values({ points, samples }: { points: Point[]; samples: Sample[] }) {
  const rows = [
    ...points.map((point) => ({ at: point.at, text: `${point.verified} % verified, ${point.desired} % desired`, of: point.revision })),
    ...samples.map((sample) => ({ at: sample.at, text: `${sample.percent} % of ${sample.requests} requests measured`, of: sample.metric })),
  ].sort((a, b) => Date.parse(b.at) - Date.parse(a.at));
  return (
    <details>
      <summary>As a table</summary>
      <div class="scroll" tabIndex={0} role="region" aria-label="Weights as a table">
        <table>
          <thead><tr><th scope="col">Time</th><th scope="col">Weight</th><th scope="col">Of</th></tr></thead>
          <tbody>
            {rows.map((row) => <tr key={row.at + row.text}><td>{clock(row.at)}</td><td>{row.text}</td><td><code>{row.of}</code></td></tr>)}
          </tbody>
        </table>
      </div>
    </details>
  );
}
