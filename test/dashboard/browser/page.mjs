// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

// What the scripts of this folder share: a browser, checks of accessibility, and a record of all requests.

import assert from 'node:assert/strict';
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { AxeBuilder } from '@axe-core/playwright';
import { chromium } from 'playwright-core';

export const url = process.env.DASHBOARD_URL;
export const namespace = process.env.DASHBOARD_NAMESPACE;

/**
 * Opens a browser on the dashboard, which is closed at the end of the test at the latest: it would keep a test that has failed from
 * ending. The returned function closes it, and checks that no request has left the origin of the page.
 */
export async function open(t) {
  // Tests run as root in namespaces of their own, where Chromium cannot set up another sandbox.
  const browser = await chromium.launch({ executablePath: process.env.CANARYROLLOUT_CHROMIUM, args: ['--no-sandbox', '--disable-dev-shm-usage'] });
  t.after(() => browser.close());
  const context = await browser.newContext({ viewport: { width: 1440, height: 900 }, reducedMotion: 'reduce' });
  context.setDefaultTimeout(60_000);
  const page = await context.newPage();
  const { origin } = new URL(url);
  const foreign = [], errors = [];
  context.on('request', (request) => { if (new URL(request.url()).origin !== origin) foreign.push(request.url()); });
  context.on('weberror', (error) => errors.push(String(error.error())));
  await page.goto(url);
  await page.waitForURL(`${origin}/`);
  const close = async () => {
    await browser.close();
    assert.deepEqual(foreign, [], 'requests to other origins');
    assert.deepEqual(errors, [], 'errors of the page');
  };
  return { page, close };
}

/** Waits until the page of a rollout shows a state. */
export const badge = (page, state) => page.locator('.title .badge', { hasText: state }).waitFor();

/** Waits until the page of a rollout shows that a step is current, and pauses. */
export const pausedAt = (page, step) =>
  page.locator('[aria-current=step]', { hasText: 'pause' }).filter({ has: page.locator('.number', { hasText: step }) }).waitFor();

/** Checks accessibility in both themes, on a desktop and on a phone. With DASHBOARD_SCREENSHOTS, keeps a picture of each. */
export async function accessible(page, name) {
  const folder = process.env.DASHBOARD_SCREENSHOTS;
  for (const theme of ['light', 'dark']) {
    await page.emulateMedia({ colorScheme: theme });
    for (const [width, height] of [[1440, 900], [390, 844]]) {
      await page.setViewportSize({ width, height });
      if (folder) {
        mkdirSync(folder, { recursive: true });
        await page.screenshot({ path: join(folder, `${name}-${theme}-${width}.png`), fullPage: !name.startsWith('dialog') });
      }
      const { violations } = await new AxeBuilder({ page }).analyze();
      const found = violations.map((v) => `${v.id}: ${v.help}\n  ${v.nodes.map((n) => n.html).join('\n  ')}`);
      assert.deepEqual(found, [], `${name}, ${theme}, ${width} pixels`);
      const overflow = await page.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth);
      assert.ok(overflow <= 0, `${name} is ${overflow} pixels wider than ${width}`);
    }
  }
  await page.setViewportSize({ width: 1440, height: 900 });
}
