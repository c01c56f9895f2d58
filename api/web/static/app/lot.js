// The page of a lot: what everybody sees, counted down on the server's clock, and one's own bid beside it.
import {say} from './ages.js';
import {bid} from './lot_bid.js';
import {left, spell, timed} from './lot_clock.js';
import {format, parse, plain} from './money.js';
import {call, headers, stream, toast} from './net.js';

const page = document.getElementById('lot');
const words = JSON.parse(page.dataset.words);
const $ = (id) => document.getElementById(id);
const HISTORY = 40;
const LOOK_MS = 2000;
const CALM_LOOKS = 8;
const SPOKEN_MS = [300000, 60000, 10000];
let lot = JSON.parse(page.dataset.lot);
let mine = JSON.parse(page.dataset.mine);
let spoken = Infinity;
let etag = null;
let live = false;
window.__lot = {get state() { return lot; }, get mine() { return mine; }};

const money = (minor) => ({amount_minor: minor, currency: lot.start_price.currency});
const put = (id, text) => { const at = $(id); if (at && at.textContent !== text) at.textContent = text; };
const announce = (text) => put('spoken', text);

function draw() {
  const price = lot.price ?? lot.start_price;
  put('price', format(price));
  put('price-label', lot.price ? (lot.state === 'hammered' ? words.hammer : words.current_price) : words.start_price);
  put('min-next', format(lot.min_next));
  put('leader', lot.leader_code ?? say('lot.nobody'));
  put('bid-count', String(lot.bid_count));
  put('state', say(`lot.state.${lot.state}`));
  $('state').className = `state ${lot.state}`;
  page.dataset.state = lot.state;
  const extended = $('extended');
  extended.hidden = lot.extension_count === 0;
  extended.textContent = say('lot.extended', {n: lot.extension_count, word: words.extension});
  drawMine();
  tick();
}

function drawMine() {
  const leads = mine && lot.leader_code === mine.code;
  const banner = $('standing');
  if (!banner) return;
  const has = Boolean(mine?.own_max);
  banner.hidden = !has || !['open', 'suspended', 'hammered'].includes(lot.state);
  banner.className = `standing ${leads ? 'leads' : 'outbid'}`;
  const key = lot.state === 'hammered' ? (leads ? 'won' : 'lost') : (leads ? 'leads' : 'outbid');
  put('standing-text', say(`lot.you.${key}`));
  put('own-max', has ? say('lot.own_max', {amount: format(mine.own_max)}) : '');
  const form = $('bid-form');
  if (form) {
    const open = lot.state === 'open' && mine?.state === 'eligible';
    form.querySelector('fieldset').disabled = !open;
    put('bid-next', say('lot.bid_next', {amount: format(lot.min_next)}));
    $('bid-next').hidden = Boolean(leads);
    put('bid-hint', hint());
  }
}

function hint() {
  if (lot.state === 'published') return say('lot.not_started');
  if (lot.state !== 'open') return say(`lot.state.${lot.state}`);
  if (mine?.state === 'barred') return say('lot.barred');
  if (mine?.state !== 'eligible') return say(mine?.kyc_state === 'verified' ? 'lot.deposit_first' : 'lot.identity_first');
  return say('lot.amount_hint', {amount: format(lot.min_next), tick: format(lot.tick)});
}

function tick() {
  const starts = lot.state === 'published';
  const until = Date.parse(starts ? lot.starts_at : lot.ends_at);
  const running = starts || lot.state === 'open';
  const ms = left(until);
  put('countdown-label', say(starts ? 'lot.until_start' : 'lot.until_end'));
  let text = say(`lot.state.${lot.state}`);
  if (running) text = ms > 0 ? spell(ms, (n) => say('lot.days', {n})) : say(starts ? 'lot.starting' : 'lot.deciding');
  put('countdown', text);
  const clock = $('countdown');
  clock.classList.toggle('last', running && !starts && ms > 0 && ms < 60000);
  clock.classList.toggle('word', !running || ms === 0);
  $('countdown-label').hidden = !running || ms === 0;
  if (lot.state !== 'open') return;
  const crossed = SPOKEN_MS.find((limit) => ms <= limit && spoken > limit);
  if (crossed) announce(say('lot.left', {n: Math.round(crossed / 1000)}));
  spoken = ms;
}

async function refresh() {
  const response = await timed(`/api/v1/lots/${lot.id}`, {headers: headers(etag ? {'If-None-Match': etag} : {})});
  if (response.status === 304 || !response.ok) return;
  etag = response.headers.get('ETag');
  const next = await response.json();
  if (next.seq >= lot.seq) {
    // The stream may come later than this: what was said of the last bid must not stand meanwhile.
    if (mine && lot.leader_code === mine.code && next.leader_code !== mine.code) put('bid-answer', '');
    lot = next;
  }
  draw();
}

async function refreshMine() {
  if (page.dataset.bidder !== 'yes') return;
  const found = await call(`/api/v1/me/registrations?lot_id=${lot.id}`);
  mine = found.items[0] ?? null;
  drawMine();
}

function line(event) {
  const facts = event.payload;
  const row = document.createElement('tr');
  row.dataset.seq = event.seq;
  if (mine && facts.code === mine.code) row.className = 'own';
  const cells = [facts.code, format(money(facts.price_minor)), say(facts.auto ? 'lot.auto' : 'lot.manual'),
    new Date(event.arrived_at).toLocaleTimeString('sv-SE', {timeZone: document.body.dataset.zone})];
  cells.forEach((text, at) => {
    const cell = row.insertCell();
    cell.textContent = text;
    if (at === 1 || at === 3) cell.className = 'number';
  });
  if (facts.extended) row.cells[3].append(Object.assign(document.createElement('small'), {textContent: ` ${words.extension}`}));
  return row;
}

function heard(kind, event) {
  if (kind === 'snapshot.required') { refresh().then(refreshMine); return; }
  if (event.seq <= lot.seq && kind !== 'bid.accepted') return;
  if (kind === 'bid.accepted') {
    const body = $('history');
    if (!body.querySelector(`[data-seq="${event.seq}"]`)) {
      body.querySelector('.empty')?.remove();
      body.prepend(line(event));
      while (body.rows.length > HISTORY) body.lastElementChild.remove();
    }
    if (event.seq > lot.seq) {
      const facts = event.payload;
      const was = lot.leader_code;
      lot = {...lot, seq: event.seq, price: money(facts.price_minor), min_next: money(facts.min_next_minor),
        ends_at: facts.ends_at ?? lot.ends_at, leader_code: facts.leader_code ?? facts.code, bid_count: lot.bid_count + 1};
      draw();
      $('price').animate?.([{opacity: 0.35}, {opacity: 1}], {duration: 350});
      announce(say('lot.news', {amount: format(lot.price), code: lot.leader_code}));
      if (mine && was === mine.code && lot.leader_code !== mine.code) {
        put('bid-answer', '');  // what it said of the last bid is no longer so
        announce(say('lot.you.outbid'));
      }
    }
    return;
  }
  if (kind === 'proxy.raised') { refresh(); return; }
  if (kind === 'lot.extended') {
    lot = {...lot, seq: event.seq, ends_at: event.payload.ends_at, extension_count: event.payload.extension_count};
    draw();
    announce(say('lot.extended', {n: lot.extension_count, word: words.extension}));
    return;
  }
  refresh().then(refreshMine).then(() => announce(say(`lot.state.${lot.state}`)));
}

async function send(amountMinor, mode, confirmed = false) {
  const amount = money(amountMinor);
  if (!confirmed && amountMinor > lot.high.amount_minor && !(await confirmHigh(amount))) return;
  const body = {max: amount, mode, confirm_high: confirmed || amountMinor > lot.high.amount_minor};
  const form = $('bid-form');
  form.classList.add('waiting');
  const answer = await bid(lot.id, body, () => put('bid-answer', say('lot.asking_again')));
  form.classList.remove('waiting');
  if (answer.ok) {
    mine = {...mine, own_max: answer.own_max};
    $('amount').value = '';
    put('bid-answer', say(`lot.bid.${answer.status}`, {amount: format(answer.own_max)}));
  } else if (answer.code === 'confirm_high_required' && !body.confirm_high) {
    if (await confirmHigh(amount)) await send(amountMinor, mode, true);
  } else {
    const key = `lot.refused.${answer.code}`;
    const told = say(key, {amount: answer.min_next_minor ? format(money(answer.min_next_minor)) : ''});
    put('bid-answer', told === key ? answer.detail : told);
  }
  $('bid-answer').className = answer.ok ? 'answer' : 'answer fault';
  await refresh();
  if (answer.ok && answer.status === 'leading' && lot.leader_code !== mine.code) put('bid-answer', '');
  drawMine();
}

function confirmHigh(amount) {
  const dialog = $('confirm-high');
  put('confirm-amount', format(amount));
  dialog.returnValue = '';
  dialog.showModal();
  return new Promise((decided) => {
    dialog.addEventListener('close', () => decided(dialog.returnValue === 'yes'), {once: true});
  });
}

function wireForm() {
  const form = $('bid-form');
  if (!form) return;
  form.addEventListener('submit', (event) => {
    event.preventDefault();
    const minor = parse($('amount').value, lot.start_price.currency);
    if (minor === null) { put('bid-answer', say('lot.no_amount')); $('bid-answer').className = 'answer fault'; $('amount').focus(); return; }
    send(minor, form.elements.mode.value);
  });
  $('bid-next').addEventListener('click', () => send(lot.min_next.amount_minor, 'exact'));
  $('amount').placeholder = plain(lot.min_next);
}

function wireRegistration() {
  $('register-form')?.addEventListener('submit', async (event) => {
    event.preventDefault();
    await call(`/api/v1/lots/${lot.id}/registrations`, {method: 'POST', data: {terms_version: lot.terms_version}, key: crypto.randomUUID()});
    location.reload();
  });
  $('hold-form')?.addEventListener('submit', async (event) => {
    event.preventDefault();
    await call(`/api/v1/registrations/${mine.id}/deposit-holds`, {method: 'POST', key: crypto.randomUUID()});
    location.reload();
  });
}

function connected(up) {
  live = up;
  const mark = $('live-mark');
  mark.classList.toggle('down', !up);
  put('live-text', say(up ? 'stream.up' : 'stream.down'));
  if (up) refresh();
}

wireForm();
wireRegistration();
draw();
await refresh().catch(() => toast(say('stream.down'), 'fault'));
stream(`/api/v1/lots/${lot.id}/events`, heard, connected, {after: lot.seq});
setInterval(tick, 100);
// Without a stream (too many pages open, or a proxy that cuts them) the page asks, often enough to bid by.
let looks = 0;
setInterval(() => {
  looks += 1;
  if (!live || looks % CALM_LOOKS === 0) refresh().catch(() => {});
}, LOOK_MS);
