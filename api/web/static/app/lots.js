// The list of lots: what is left of each, counted down on the server's clock.
import {left, learn, spell, timed} from './lot_clock.js';
import {say} from './ages.js';

learn(Number(document.getElementById('lots').dataset.nowMs), 0, performance.now());
await timed('/api/v1/time').catch(() => {});

function tick() {
  for (const time of document.querySelectorAll('time.until')) {
    const ms = left(Date.parse(time.dateTime));
    time.textContent = `${time.dataset.word} ${ms > 0 ? spell(ms, (n) => say('lot.days', {n})) : say('lot.deciding')}`;
    time.classList.toggle('last', ms > 0 && ms < 300000);
  }
}

tick();
setInterval(tick, 1000);
