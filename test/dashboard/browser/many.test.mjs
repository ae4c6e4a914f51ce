// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

import assert from 'node:assert/strict';
import test from 'node:test';
import { namespace, open } from './page.mjs';

const count = Number(process.env.DASHBOARD_COUNT);
/** The time until all rollouts are painted, in milliseconds. */
const budget = 1_000;

test('a list of many rollouts, and a page', async (t) => {
  const { page, close } = await open(t);
  await page.addInitScript((want) => {
    const observer = new MutationObserver(() => {
      if (document.querySelectorAll('tbody tr').length < want) return;
      observer.disconnect();
      requestAnimationFrame(() => setTimeout(() => { window.firstPicture = performance.now(); }));
    });
    observer.observe(document, { childList: true, subtree: true });
  }, count);
  // The time begins with the navigation. The best of several counts: other programs can only make it longer.
  const times = [];
  for (let i = 0; i < 3; i++) {
    await page.reload();
    times.push(await (await page.waitForFunction(() => window.firstPicture)).jsonValue());
  }
  t.diagnostic(`first pictures of ${count} rollouts after ${times.map(Math.round).join(', ')} ms`);
  assert.ok(Math.min(...times) < budget, `the first pictures take ${times} ms`);

  await page.getByRole('searchbox').fill('reviews-007');
  await page.locator('tbody tr').nth(1).waitFor({ state: 'detached' });
  await page.getByRole('link', { name: 'reviews-007' }).click();
  await page.getByRole('heading', { level: 1, name: `reviews-007 ${namespace}` }).waitFor();
  await close();
});
