// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

import { useSignal } from '@preact/signals';
import { useEffect, useState } from 'preact/hooks';
import { Confirmation } from './confirmation';
import type { Offer, Page, Verb } from './model';

const titles: Record<Verb, string> = {
  promote: 'Promote', full: 'Promote fully', abort: 'Abort', retry: 'Retry', pause: 'Pause', resume: 'Resume', image: 'Set image', undo: 'Undo',
};

/**
 * What a user can do. The buttons keep their places whatever the state is, since a button that moves is clicked by mistake. One that is
 * refused can be reached all the same, and says why.
 */
export function Actions({ page }: { page: Page }) {
  const [chosen, choose] = useState<Verb | null>(null);
  const [result, setResult] = useState('');
  const end = (text: string) => {
    choose(null);
    setResult(text);
  };
  const press = (offer: Offer) => {
    if (offer.refused) setResult(`${titles[offer.verb]} is not possible: ${offer.refused}.`);
    else choose(offer.verb);
  };
  return (
    <div class="actions">
      <div role="group" aria-label={`Actions for ${page.name}`}>
        {page.offers.map((offer) => (
          <button key={offer.verb} class={classOf(offer)} aria-disabled={offer.refused ? true : undefined}
            title={offer.refused} onClick={() => press(offer)}>
            {titles[offer.verb]}{['image', 'undo'].includes(offer.verb) && '…'}
          </button>
        ))}
      </div>
      <Result text={result} />
      {chosen && <Confirmation key={chosen} page={page} verb={chosen} title={titles[chosen]} onEnd={end} />}
    </div>
  );
}

function classOf(offer: Offer): string {
  if (offer.verb === 'promote' && !offer.refused) return 'primary';
  return offer.verb === 'abort' && !offer.refused ? 'danger' : '';
}

/** The last result. It goes after a while, since the page shows what follows. */
function Result({ text }: { text: string }) {
  const shown = useSignal('');
  useEffect(() => {
    shown.value = text;
    const timer = setTimeout(() => { shown.value = ''; }, 15_000);
    return () => clearTimeout(timer);
  }, [text]);
  return <p class="result" role="status">{shown.value}</p>;
}
