// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

import { render } from 'preact';
import { effect, signal } from '@preact/signals';
import { List } from './list';
import { Rollout } from './rollout';
import { about, connection } from './stream';
import 'uplot/dist/uPlot.min.css';
import './style.css';

/** The part of the URL that says what to show: #/NAMESPACE/NAME, or nothing for the list. */
const place = signal(location.hash);
addEventListener('hashchange', () => {
  place.value = location.hash;
  document.getElementById('main')?.focus();
  scrollTo(0, 0);
});

type Theme = 'system' | 'light' | 'dark';
const themes: Theme[] = ['system', 'light', 'dark'];

function storedTheme(): Theme {
  const stored = localStorage.getItem('theme') as Theme | null;
  return stored && themes.includes(stored) ? stored : 'system';
}

const theme = signal(storedTheme());
effect(() => {
  localStorage.setItem('theme', theme.value);
  document.documentElement.dataset['theme'] = theme.value;
});

function ThemeButton() {
  const next = themes[(themes.indexOf(theme.value) + 1) % themes.length]!;
  return (
    <button class="quiet" onClick={() => { theme.value = next; }} title={`Change to ${next}`}>
      {theme} theme
    </button>
  );
}

function Connection() {
  return (
    <p class={`connection ${connection.value}`} role="status">
      {connection.value === 'live' ? 'Live' : connection.value === 'lost' ? 'Connection lost' : 'Connecting'}
    </p>
  );
}

function Lost() {
  if (connection.value !== 'lost') return null;
  return (
    <p class="note bad" role="alert">
      The dashboard does not answer, so this page may be out of date. It connects again by itself.{' '}
      {about.value.isInCluster
        ? 'If your session has ended, load the page again to sign in.'
        : <>If you have stopped the dashboard, start it again and open the new URL: <code>kubectl canary dashboard</code></>}
    </p>
  );
}

function App() {
  const [, namespace, name] = place.value.split('/');
  const isPage = Boolean(namespace && name);
  return (
    <>
      <a class="skip" href="#main" onClick={(event) => { event.preventDefault(); document.getElementById('main')?.focus(); }}>
        Skip to the content
      </a>
      <header class="top">
        <nav aria-label="Place">
          <a href="#/" class="home" aria-current={isPage ? undefined : 'page'}>
            <img src="./icon.svg" alt="" width="22" height="22" />CanaryRollouts
          </a>
          {isPage && <span class="crumb"><span aria-hidden="true">/</span> {namespace} <span aria-hidden="true">/</span> {name}</span>}
        </nav>
        <Connection />
        <ThemeButton />
      </header>
      <main id="main" tabIndex={-1}>
        <Lost />
        {isPage ? <Rollout key={place.value} namespace={namespace!} name={name!} /> : <List />}
      </main>
    </>
  );
}

render(<App />, document.getElementById('page')!);
