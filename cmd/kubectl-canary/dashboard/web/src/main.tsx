// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

import { render } from 'preact';
import { signal } from '@preact/signals';
import uPlot from 'uplot';
import 'uplot/dist/uPlot.min.css';
import './style.css';

const n = signal(1);
export function App() {
  return <main onClick={() => { n.value++; new uPlot({ width: 1, height: 1, series: [{}] }); }}>{n}</main>;
}
render(<App />, document.getElementById('page')!);
