// A bid with one key until there is a clear answer: a lost answer is asked for again, never bid again.
import {headers} from './net.js';
import {timed} from './lot_clock.js';

const INSIST_MS = 30000;
const PAUSES_MS = [200, 500, 1000];

function unclear(status, code) {
  return status === 429 || status >= 500 || (status === 409 && code === 'request_in_progress');
}

export async function bid(lotId, body, onWaiting = () => {}) {
  const key = crypto.randomUUID?.() ?? [...crypto.getRandomValues(new Uint8Array(16))].map((b) => b.toString(16).padStart(2, '0')).join('');
  const options = {
    method: 'POST',
    headers: headers({'Content-Type': 'application/json', 'Idempotency-Key': key}),
    body: JSON.stringify(body),
  };
  const until = performance.now() + INSIST_MS;
  for (let attempt = 0; ; attempt += 1) {
    let answer = null;
    let said = {};
    try {
      answer = await timed(`/api/v1/lots/${lotId}/bids`, options);
      said = await answer.json();
    } catch {
      // No answer is not a refusal: the same key asks what became of it.
    }
    if (answer?.status === 401) location.assign('/sign-in');
    if (answer && !unclear(answer.status, said.code)) return {ok: answer.ok, status: answer.status, ...said};
    if (performance.now() > until) return {ok: false, status: 0, code: 'no_answer', detail: ''};
    onWaiting();
    const asked = Number(answer?.headers.get('Retry-After') ?? 0) * 1000;
    await new Promise((resume) => setTimeout(resume, Math.max(asked, PAUSES_MS[Math.min(attempt, PAUSES_MS.length - 1)])));
  }
}
