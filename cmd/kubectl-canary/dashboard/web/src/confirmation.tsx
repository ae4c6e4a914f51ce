// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

import { useEffect, useRef, useState } from 'preact/hooks';
import type { Answer, Forecast, Page, Request, Verb } from './model';
import { short } from './time';

async function send(page: Page, kind: 'preview' | 'act', request: Request): Promise<Answer> {
  const path = `./api/rollouts/${encodeURIComponent(page.namespace)}/${encodeURIComponent(page.name)}/${kind}`;
  try {
    const response = await fetch(path, {
      method: 'POST', body: JSON.stringify(request), headers: { 'Content-Type': 'application/json', 'X-Canary-Dashboard': '1' },
    });
    const text = await response.text();
    return response.headers.get('Content-Type')?.startsWith('application/json') ? (JSON.parse(text) as Answer) : { error: text };
  } catch {
    const advice = kind === 'act' ? ' Check whether it was done before you try again.' : '';
    return { error: `The dashboard does not answer.${advice}` };
  }
}

/** How long to wait after a keystroke before asking what an action would do. */
const pace = 300;

/**
 * Says what an action will do, and does it. It applies to the rollout as it was when this was opened: if the rollout has moved on, the
 * server refuses it.
 */
export function Confirmation({ page: current, verb, title, onEnd }: { page: Page; verb: Verb; title: string; onEnd: (result: string) => void }) {
  const page = useRef(current).current;
  const dialog = useRef<HTMLDialogElement>(null);
  const [inputs, setInputs] = useState<Partial<Request>>(verb === 'image' ? { images: imagesOf(page) } : {});
  const [answer, setAnswer] = useState<Answer | null>(null);
  const [isBusy, setBusy] = useState(false);
  const isAsked = useRef(false);
  const result = useRef('');
  const request = { verb, seen: page.seen, ...inputs };
  const isUnchanged = verb === 'image' && page.containers.every((c) => inputs.images?.[c.name] === c.image);

  useEffect(() => { dialog.current?.showModal(); }, []);
  // A reason changes nothing of what follows.
  const asked = JSON.stringify({ ...request, reason: '' });
  useEffect(() => {
    let isCurrent = true;
    setAnswer(null);
    const timer = isUnchanged ? 0 : setTimeout(async () => {
      const next = await send(page, 'preview', request);
      if (isCurrent) setAnswer(next);
    }, isAsked.current ? pace : 0);
    isAsked.current = true;
    return () => { isCurrent = false; clearTimeout(timer); };
  }, [asked]);

  // A dialog that closes gives the focus back to the button that opened it; one that is only removed does not.
  const close = (text: string) => {
    result.current = text;
    dialog.current?.close();
  };
  const act = async (event: Event) => {
    event.preventDefault();
    if (!answer || answer.error || isBusy) return;
    setBusy(true);
    const done = await send(page, 'act', request);
    setBusy(false);
    if (done.error) setAnswer(done);
    else close(`${title}: done. Next: ${done.next}.`);
  };
  return (
    <dialog ref={dialog} aria-labelledby="confirmation" onClose={() => onEnd(result.current)}>
      <form onSubmit={act}>
        <h2 id="confirmation">{questions[verb](page.name)}</h2>
        <p class="detail">
          Namespace {page.namespace}{page.step && `, step ${page.step}`}{page.revision && <>, revision <code>{page.revision}</code></>}
        </p>
        <Inputs page={page} verb={verb} inputs={inputs} onInput={setInputs} />
        <div class="preview" aria-live="polite" aria-busy={answer === null && !isUnchanged}>
          {isUnchanged ? <p>Enter another image.</p> : answer === null ? <p>Asking what this will do.</p> : <Preview answer={answer} />}
        </div>
        <div class="buttons">
          <button type="button" onClick={() => close('')}>Cancel</button>
          <button type="submit" class={verb === 'abort' ? 'danger' : 'primary'} disabled={!answer || Boolean(answer.error) || isBusy}>{title}</button>
        </div>
      </form>
    </dialog>
  );
}

const questions: Record<Verb, (name: string) => string> = {
  promote: (name) => `Promote ${name}?`,
  full: (name) => `Promote ${name} to the end, and skip the remaining steps?`,
  abort: (name) => `Abort the release of ${name}?`,
  retry: (name) => `Start the aborted revision of ${name} again?`,
  pause: (name) => `Pause ${name}?`,
  resume: (name) => `Resume ${name}?`,
  image: (name) => `Set images of ${name}`,
  undo: (name) => `Return ${name} to a former revision?`,
};

const imagesOf = (page: Page) => Object.fromEntries(page.containers.map((c) => [c.name, c.image]));

function Inputs({ page, verb, inputs, onInput }: {
  page: Page; verb: Verb; inputs: Partial<Request>; onInput: (inputs: Partial<Request>) => void;
}) {
  if (verb === 'abort') {
    return (
      <label class="field">Reason, which the history shows (optional)
        <input autofocus autocomplete="off" maxLength={200} value={inputs.reason ?? ''} onInput={(e) => onInput({ reason: e.currentTarget.value })} />
      </label>
    );
  }
  if (verb === 'undo') {
    const revisions = page.revisions.filter((revision) => revision.createdAt);
    return (
      <label class="field">Return to
        <select value={inputs.revision ?? ''} onChange={(e) => onInput({ revision: e.currentTarget.value })}>
          <option value="">the revision before</option>
          {revisions.map((r) => <option key={r.name} value={r.name}>{r.name} ({r.role}): {r.images.join(', ')}</option>)}
        </select>
      </label>
    );
  }
  if (verb === 'image') {
    return (
      <>
        {page.containers.map((c) => (
          <label key={c.name} class="field">Image of {c.name}
            <input spellcheck={false} autocomplete="off" required value={inputs.images?.[c.name] ?? ''}
              onInput={(e) => onInput({ images: { ...inputs.images, [c.name]: e.currentTarget.value } })} />
          </label>
        ))}
      </>
    );
  }
  return null;
}

function Preview({ answer }: { answer: Answer }) {
  if (answer.error) return <p class="note bad">{answer.error}</p>;
  return (
    <>
      <p><b>Next:</b> {answer.next}.</p>
      {answer.forecast && <Stages forecast={answer.forecast} />}
    </>
  );
}

/** What the release does then, if nothing goes wrong. */
function Stages({ forecast }: { forecast: Forecast }) {
  if (forecast.stuck) return <p class="note bad">It will not end: {forecast.stuck}</p>;
  const plus = forecast.promotions > 0 ? ' plus the time until somebody promotes' : '';
  const end = forecast.stages.some((stage) => stage.name === 'Commit') ? `stable after ${short(forecast.stableAfter)}` : `done after ${short(forecast.doneAfter)}`;
  return (
    <>
      <p class="detail">
        If nothing goes wrong: {end}{plus}, at most {forecast.peakPods} pods at once. The time for pods to become
        ready is not included.
      </p>
      <div class="scroll" tabIndex={0} role="region" aria-label="Stages of the release">
        <table>
          <thead><tr><th scope="col">Step</th><th scope="col">What</th><th scope="col">Pods</th><th scope="col">Weight</th><th scope="col">For</th></tr></thead>
          <tbody>
            {forecast.stages.map((stage, i) => (
              <tr key={i}>
                <td>{stage.step ? `${stage.step}/${forecast.steps}` : ''}</td>
                <td>{stage.what}</td>
                <td>{stage.pods.stable}+{stage.pods.canary}{stage.pods.former ? `+${stage.pods.former}` : ''}</td>
                <td>{stage.weightBefore === stage.weight ? stage.weight : `${stage.weightBefore}→${stage.weight}`}</td>
                <td>{stage.untilPromoted ? 'until promoted' : short(stage.for)}</td>
              </tr>
            ))}
          </tbody>
        </table>
      </div>
      {forecast.unknownMetrics && <p class="detail">Metrics that are not looked up here, and assumed to pass at once: {forecast.unknownMetrics.join(', ')}</p>}
      {forecast.warnings?.length > 0 && (
        <details>
          <summary>{forecast.warnings.length} warnings about the steps</summary>
          <ul>{forecast.warnings.map((warning) => <li key={warning.id + warning.message}>{warning.message}</li>)}</ul>
        </details>
      )}
    </>
  );
}
