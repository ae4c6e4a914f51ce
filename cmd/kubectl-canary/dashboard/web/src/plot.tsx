// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

import { useSignal } from '@preact/signals';
import { useEffect, useRef } from 'preact/hooks';
import uPlot from 'uplot';
import type { Point } from './model';
import { Section } from './parts';
import { clock } from './time';

const height = 180;

/** The columns of a plot: times in seconds, desired and verified weights. The last weight lasts until now. */
function columnsOf(points: Point[], at: number): [number[], number[], number[]] {
  const times = points.map((point) => Date.parse(point.at) / 1000);
  const desired = points.map((point) => point.desired);
  const verified = points.map((point) => point.verified);
  const last = points[points.length - 1];
  if (last) {
    times.push(Math.max(at / 1000, times[times.length - 1]!));
    desired.push(last.desired);
    verified.push(last.verified);
  }
  return [times, desired, verified];
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
  return date.toLocaleTimeString([], { hour: '2-digit', minute: '2-digit', second: increment < 60 ? '2-digit' : undefined });
}

function optionsOf(width: number, onCursor: (index: number | null) => void): uPlot.Options {
  const stepped = uPlot.paths.stepped!({ align: 1 });
  const line = resolved('--line'), text = resolved('--muted');
  const font = `11px ${getComputedStyle(document.body).fontFamily}`;
  const time: uPlot.Axis.DynamicValues = (_, splits, _axis, _space, increment) => splits.map((split) => timeOf(split, increment));
  const axis = { stroke: text, font, grid: { stroke: line, width: 1 }, ticks: { stroke: line, width: 1, size: 4 } };
  return {
    width, height,
    padding: [8, 8, 0, 0],
    legend: { show: false },
    cursor: { y: false, drag: { x: false, y: false }, points: { show: false } },
    scales: { y: { range: [0, 105] } },
    axes: [{ ...axis, values: time }, { ...axis, size: 42, splits: [0, 25, 50, 75, 100], values: (_, splits) => splits.map((split) => `${split} %`) }],
    series: [
      {},
      { label: 'desired', stroke: resolved('--canary-text'), width: 1.5, dash: [4, 3], paths: stepped, points: { show: false } },
      { label: 'verified', stroke: resolved('--canary'), fill: resolved('--canary-soft'), width: 2, paths: stepped, points: { show: false } },
    ],
    hooks: { setCursor: [(plot) => onCursor(plot.cursor.idx ?? null)] },
  };
}

/** The weights over time. The dashboard remembers them from its start, and the status tells when the release began. */
export function Plot({ points }: { points: Point[] }) {
  const frame = useRef<HTMLDivElement>(null);
  const plot = useRef<uPlot | null>(null);
  const cursor = useSignal<number | null>(null);
  const latest = useRef(points);
  latest.current = points;

  useEffect(() => {
    const element = frame.current!;
    const draw = () => {
      plot.current?.destroy();
      plot.current = new uPlot(
        optionsOf(element.clientWidth, (index) => { cursor.value = index; }), columnsOf(latest.current, Date.now()), element,
      );
    };
    draw();
    const size = new ResizeObserver(() => plot.current?.setSize({ width: element.clientWidth, height }));
    size.observe(element);
    const dark = matchMedia('(prefers-color-scheme: dark)');
    dark.addEventListener('change', draw);
    const theme = new MutationObserver(draw);
    theme.observe(document.documentElement, { attributeFilter: ['data-theme'] });
    return () => {
      size.disconnect();
      theme.disconnect();
      dark.removeEventListener('change', draw);
      plot.current?.destroy();
      plot.current = null;
    };
  }, []);

  useEffect(() => { plot.current?.setData(columnsOf(points, Date.now())); }, [points]);
  useEffect(() => {
    const timer = setInterval(() => plot.current?.setData(columnsOf(latest.current, Date.now())), 5_000);
    return () => clearInterval(timer);
  }, []);

  const last = points[points.length - 1];
  const at = points[Math.min(cursor.value ?? points.length - 1, points.length - 1)];
  const key = (
    <p class="key aside">
      <span class="verified">verified</span> <span class="desired">desired</span>
    </p>
  );
  return (
    <Section title="Weight of the canary" aside={key}>
      <div ref={frame} class="plot" role="img" aria-label={last ? `Weight over time. Now ${last.verified} % verified, ${last.desired} % desired.` : 'No weights yet'} />
      <p class="readout" aria-hidden="true">
        {at ? `${cursor.value === null ? 'now' : clock(at.at)}: ${at.verified} % verified, ${at.desired} % desired (${at.revision})` : 'No weights yet.'}
      </p>
      {points.length > 0 && (
        <details>
          <summary>As a table</summary>
          <div class="scroll" tabIndex={0} role="region" aria-label="Weights as a table">
            <table>
              <thead><tr><th scope="col">Time</th><th scope="col">Verified</th><th scope="col">Desired</th><th scope="col">Revision</th></tr></thead>
              <tbody>
                {[...points].reverse().map((point) => (
                  <tr key={point.at}>
                    <td>{clock(point.at)}</td><td>{point.verified} %</td><td>{point.desired} %</td><td><code>{point.revision}</code></td>
                  </tr>
                ))}
              </tbody>
            </table>
          </div>
        </details>
      )}
    </Section>
  );
}

