// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

// A release that a desktop and a phone show at the same time, and that they promote in turns.

import assert from 'node:assert/strict';
import test from 'node:test';
import { badge, namespace, open, pausedAt } from './page.mjs';

const { DASHBOARD_ROLLOUT: rollout, DASHBOARD_IMAGE: image, DASHBOARD_STOPS: stops } = process.env;

test('a release on a desktop and on a phone', async (t) => {
  const { page: desktop, close } = await open(t);
  const phone = await desktop.context().newPage();
  await phone.setViewportSize({ width: 390, height: 844 });
  await phone.goto(desktop.url());
  const pages = [desktop, phone];
  const onBoth = (look) => Promise.all(pages.map(look));

  await onBoth(async (page) => {
    await page.evaluate(() => { window.isTheFirst = true; });
    await page.locator(`a[href="#/${namespace}/${rollout}"]`).click();
  });
  for (const [i, [step, weight, button]] of JSON.parse(stops).entries()) {
    await onBoth(async (page) => {
      await pausedAt(page, String(step));
      await page.locator('.title').getByRole('img', { name: `${weight} % verified`, exact: true }).waitFor();
    });
    const page = pages[i % pages.length];
    await page.getByRole('button', { name: button, exact: true }).click();
    await page.locator('dialog[open]').getByRole('button', { name: button, exact: true }).click();
  }
  await onBoth(async (page) => {
    await badge(page, 'Healthy');
    await page.locator('.revisions > li', { hasText: image }).filter({ has: page.locator('.badge', { hasText: 'stable' }) }).waitFor();
    assert.ok(await page.evaluate(() => window.isTheFirst), 'the page was loaded again');
  });
  await close();
});
