// The server's clock, as well as an answer's delay lets us know it; what the countdown runs on.
let offset = 0;
let error = Infinity;
const DRIFT_MS_PER_S = 0.2;
let measuredAt = 0;

export function serverNow() {
  return performance.now() + offset;
}

// A header that came back within `delay` was right at some moment in between: half of it is the error.
export function learn(serverMs, sentAt, receivedAt) {
  const wrong = (receivedAt - sentAt) / 2;
  const aged = error + ((receivedAt - measuredAt) / 1000) * DRIFT_MS_PER_S;
  if (!Number.isFinite(serverMs) || wrong > aged) return;
  offset = serverMs - (sentAt + receivedAt) / 2;
  error = wrong;
  measuredAt = receivedAt;
}

export async function timed(path, options = {}) {
  const sentAt = performance.now();
  const response = await fetch(path, options);
  learn(Number(response.headers.get('X-Server-Time-Ms') ?? NaN), sentAt, performance.now());
  return response;
}

export function left(untilMs) {
  return Math.max(0, untilMs - serverNow());
}

const two = (number) => String(number).padStart(2, '0');

// Tenths in the last minute: the only moment at which they matter.
export function spell(ms, days) {
  if (ms < 60000) return `00:${two(Math.floor(ms / 1000))}.${Math.floor((ms % 1000) / 100)}`;
  const s = Math.floor(ms / 1000);
  const clock = `${two(Math.floor(s / 60) % 60)}:${two(s % 60)}`;
  if (s < 3600) return clock;
  const hours = `${two(Math.floor(s / 3600) % 24)}:${clock}`;
  return s < 86400 ? hours : `${days(Math.floor(s / 86400))} ${hours}`;
}
