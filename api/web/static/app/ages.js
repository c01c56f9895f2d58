// "4 分钟前", counted on: by telemetry time for reports, by wall time for what people did.
export const texts = JSON.parse(document.body.dataset.texts);
const rate = Number(document.body.dataset.rate);
const startNow = Date.parse(document.body.dataset.now);
const loadedAt = performance.now();
let correction = 0;

// A scaled clock runs fast until it meets the wall clock, and never passes it.
export function telemetryNow() {
  const now = startNow + (performance.now() - loadedAt) * rate + correction;
  return rate > 1 ? Math.min(now, Date.now()) : now;
}

// A position that says how old it is tells what telemetry time the server has.
export function learnNow(t, ageS) {
  const server = Date.parse(t) + ageS * 1000;
  if (ageS > 0 && server > telemetryNow()) correction += server - telemetryNow();
}

export function say(key, facts = {}) {
  return (texts[key] ?? key).replace(/\{(\w+)\}/g, (_, name) => facts[name] ?? '');
}

export function age(seconds) {
  if (seconds < 45) return say('age.now');
  if (seconds < 5400) return say('age.minutes', {n: Math.max(1, Math.round(seconds / 60))});
  if (seconds < 129600) return say('age.hours', {n: Math.round(seconds / 3600)});
  return say('age.days', {n: Math.round(seconds / 86400)});
}

export function ageOf(moment, wall = false) {
  return age(Math.max(0, ((wall ? Date.now() : telemetryNow()) - moment) / 1000));
}

export function refreshAges() {
  for (const time of document.querySelectorAll('time[datetime]')) {
    if (time.closest('.timeline') || time.closest('.exact')) continue;
    const text = ageOf(Date.parse(time.dateTime), time.dataset.clock === 'wall');
    if (time.textContent !== text) time.textContent = text;
  }
}
