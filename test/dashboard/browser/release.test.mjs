// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

// A release of six steps, with a pause at each second one, which the operator has begun.

import assert from 'node:assert/strict';
import test from 'node:test';
import { accessible, badge, open, pausedAt } from './page.mjs';

const { DASHBOARD_ADMIN: admin, DASHBOARD_USER: user } = process.env;

test('release, lost connection and abort', async (t) => {
  const { page, close } = await open(t);
  const dialog = page.locator('dialog[open]');

  await page.getByRole('link', { name: 'reviews', exact: true }).waitFor();
  await accessible(page, 'list');
  await page.getByRole('link', { name: 'reviews', exact: true }).click();

  await badge(page, 'Paused');
  await pausedAt(page, '2');
  const step = (number) => page.getByRole('region', { name: 'Steps' }).getByRole('listitem').nth(number - 1);
  const release = (number) => page.getByRole('region', { name: 'History' }).getByRole('listitem').nth(number - 1);
  await step(1).getByText(/^took \d+s/).waitFor();
  await step(2).getByText(/^since .*\d:\d\d, for (\d+m )?\d+s$/).waitFor();
  assert.match(await step(3).innerText(), /^(?!.*(took|since))/s, 'a step to come has no times');
  await release(1).getByText(`by ${admin}`, { exact: true }).waitFor();
  await accessible(page, 'page');

  // With the mouse. Cancel does nothing.
  await page.getByRole('button', { name: 'Promote', exact: true }).click();
  await dialog.getByText('Next:').waitFor();
  await accessible(page, 'dialog-promote');
  await dialog.getByRole('button', { name: 'Cancel' }).click();
  await dialog.waitFor({ state: 'detached' });
  await pausedAt(page, '2');
  await page.getByRole('button', { name: 'Promote', exact: true }).click();
  await dialog.getByRole('button', { name: 'Promote', exact: true }).click();
  await page.getByText('Promote: done.').waitFor();
  await pausedAt(page, '4');

  // With the keyboard alone, from the top of the page.
  await page.locator('body').click({ position: { x: 1, y: 1 } });
  await page.evaluate(() => document.activeElement?.blur());
  const focused = () => page.evaluate(() => document.activeElement?.textContent);
  for (let presses = 0; (await focused()) !== 'Promote'; presses++) {
    assert.ok(presses < 20, 'Promote is not reached by 20 tabs');
    await page.keyboard.press('Tab');
  }
  await page.keyboard.press('Enter');
  await dialog.getByText('Next:').waitFor();
  for (let presses = 0; (await focused()) !== 'Promote'; presses++) {
    assert.ok(presses < 10, 'Promote in the dialog is not reached by 10 tabs');
    await page.keyboard.press('Tab');
  }
  await page.keyboard.press('Enter');
  await dialog.waitFor({ state: 'detached' });
  assert.equal(await focused(), 'Promote', 'the focus should return to the button that opened the dialog');
  await pausedAt(page, '6');
  await step(2).getByText(/^took (\d+m )?\d+s, (\d+m )?\d+s of it waiting$/).waitFor();
  await accessible(page, 'steps');

  // A dashboard that does not answer: neither its socket nor the page is closed.
  const pid = Number(process.env.DASHBOARD_PID);
  process.kill(pid, 'SIGSTOP');
  try {
    await page.getByText('Connection lost').waitFor();
    await accessible(page, 'lost');
  } finally {
    process.kill(pid, 'SIGCONT');
  }
  await page.getByText('Live', { exact: true }).waitFor();
  await page.getByText('Connection lost').waitFor({ state: 'detached' });

  await page.getByRole('button', { name: 'Abort' }).click();
  await dialog.getByLabel(/Reason/).fill('too many errors');
  await dialog.getByText('Next:').waitFor();
  await accessible(page, 'dialog-abort');
  await dialog.getByRole('button', { name: 'Abort' }).click();
  await badge(page, 'Aborted');
  await page.locator('.history').getByText('too many errors').first().waitFor();
  await release(1).getByText(`by ${admin}, aborted by ${user}`, { exact: true }).waitFor();
  await step(6).getByText(/^took .* of it waiting$/).waitFor();
  await accessible(page, 'aborted');
  await close();
});
