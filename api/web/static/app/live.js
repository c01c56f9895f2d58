// The live page: inbox and map listen to the same streams.
import htmx from 'htmx';
import {refreshAges, say} from './ages.js';
import {beep} from './sound.js';
import {Fleet} from './fleet.js';
import {openMap} from './map.js';
import {all, call, stream, toast} from './net.js';

const inbox = document.getElementById('inbox');
const detail = document.getElementById('detail');
const tally = document.getElementById('tally');
const sound = document.getElementById('sound');
const state = document.getElementById('stream-state');
const address = new URL(location.href);
let selected = address.searchParams.get('alert');
let fleet = null;
let refreshing = 0;
const up = {alerts: false, positions: false};

// --- inbox -----------------------------------------------------------------------------------
const rows = () => [...inbox.querySelectorAll('li[data-alert]')];
const chosen = () => [...inbox.querySelectorAll('.chip.on')].map((chip) => chip.dataset.severity);

async function refreshInbox() {
  if (!inbox) return;
  const query = new URLSearchParams(chosen().length < 4 ? chosen().map((level) => ['severity', level]) : []);
  await htmx.ajax('GET', `${inbox.dataset.url}?${query}`, {target: '#inbox', swap: 'innerMorph'});
  mark();
  refreshAges();
}

function refreshSoon() {
  clearTimeout(refreshing);
  refreshing = setTimeout(async () => {
    await refreshInbox();
    fleet?.rank(await severities());
  }, 250);
}

function mark() {
  for (const row of rows()) row.classList.toggle('selected', row.dataset.alert === selected);
}

async function select(alertId, {fly = true} = {}) {
  selected = alertId;
  address.searchParams.set('alert', alertId);
  history.replaceState(null, '', address);
  mark();
  const row = rows().find((one) => one.dataset.alert === alertId);
  row?.scrollIntoView({block: 'nearest'});
  detail.hidden = false;
  await htmx.ajax('GET', `/fragments/alerts/${alertId}`, {target: '#detail', swap: 'innerHTML'});
  refreshAges();
  if (row?.dataset.vehicle) fleet?.select(row.dataset.vehicle, {fly});
}

function closeDetail() {
  selected = null;
  detail.hidden = true;
  detail.replaceChildren();
  address.searchParams.delete('alert');
  history.replaceState(null, '', address);
  mark();
  fleet?.select(null);
}

function step(by) {
  const list = rows();
  if (!list.length) return;
  const at = list.findIndex((row) => row.dataset.alert === selected);
  select(list[Math.min(list.length - 1, Math.max(0, at + by))].dataset.alert);
}

// --- what people do ---------------------------------------------------------------------------
async function command(alertId, name, data = {}) {
  await call(`/api/v1/alerts/${alertId}/${name}`, {method: 'POST', data});
  toast(say(`done.${name}`));
  await refreshInbox();
  if (selected === alertId) await select(alertId, {fly: false});
}

async function openCase(alertId) {
  const opened = await call('/api/v1/cases', {method: 'POST', data: {alert_id: alertId}, key: crypto.randomUUID()});
  location.assign(`/cases/${opened.id}`);
}

const deeds = {
  close: closeDetail,
  acknowledge: (button) => command(button.dataset.alert, 'acknowledge'),
  'open-case': (button) => openCase(button.dataset.alert),
  'show-dismiss': () => reveal('form.dismiss'),
  'show-resolve': () => reveal('form.resolve'),
};

function reveal(selector) {
  for (const form of detail.querySelectorAll('form')) form.hidden = !form.matches(selector);
  detail.querySelector(`${selector} [name=reason]`)?.focus();
}

detail.addEventListener('click', (event) => {
  const button = event.target.closest('[data-do]');
  if (button) deeds[button.dataset.do](button);
});
detail.addEventListener('submit', (event) => {
  event.preventDefault();
  const form = event.target;
  command(form.dataset.alert, form.dataset.command, Object.fromEntries(new FormData(form)));
});
inbox?.addEventListener('click', (event) => {
  const chip = event.target.closest('.chip');
  if (chip) {
    chip.classList.toggle('on');
    if (!chosen().length) inbox.querySelectorAll('.chip').forEach((one) => one.classList.add('on'));
    refreshInbox();
    return;
  }
  const row = event.target.closest('li[data-alert]');
  if (row) select(row.dataset.alert);
});
inbox?.addEventListener('keydown', (event) => {
  if (event.key === 'Enter' && event.target.dataset.alert) select(event.target.dataset.alert);
});

const keys = {
  j: () => step(1),
  k: () => step(-1),
  a: () => detail.querySelector('[data-do=acknowledge]')?.click(),
  e: () => detail.querySelector('[data-do=open-case], a.button[href^="/cases/"]')?.click(),
  f: () => detail.querySelector('[data-do=show-dismiss]')?.click(),
  Escape: closeDetail,
};
document.addEventListener('keydown', (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || event.target.closest('input, textarea, select')) return;
  const act = inbox && keys[event.key];
  if (act) {
    event.preventDefault();
    act();
  }
});

// --- the map -----------------------------------------------------------------------------------
async function severities() {
  const worst = new Map();
  for (const alert of await all('/api/v1/alerts?live=true&limit=500')) rankIn(worst, alert);
  return worst;
}

function rankIn(worst, alert) {
  const known = worst.get(alert.vehicle_id);
  if (!known || alert.severity < known) worst.set(alert.vehicle_id, alert.severity);
}

function pick(vehicleIds, point) {
  const row = vehicleIds.length === 1 && rows().find((one) => one.dataset.vehicle === vehicleIds[0]);
  if (row) {
    select(row.dataset.alert, {fly: false});
    return;
  }
  fleet.select(vehicleIds[0]);
  const box = document.createElement('div');
  box.className = 'pick';
  box.append(...vehicleIds.map((id) => fleet.card(id)));
  document.querySelector('.pick')?.remove();
  document.querySelector('.stage').append(box);
  box.style.left = `${point.x + 12}px`;
  box.style.top = `${point.y + 12}px`;
  fleet.view.map.once('movestart', () => box.remove());
  fleet.view.map.once('click', () => box.remove());
}

function count() {
  tally.hidden = false;
  tally.textContent = say('map.tally', {n: fleet.size});
}

function connected(channel, isUp) {
  up[channel] = isUp;
  const good = up.positions && (up.alerts || !inbox);
  state.hidden = false;
  state.classList.toggle('down', !good);
  state.querySelector('b').textContent = say(good ? 'stream.up' : 'stream.down');
}

function heard(kind, news) {
  if (kind !== 'alert') return;
  refreshSoon();
  if (news.alert.id === selected) select(selected, {fly: false});
  if (news.change === 'raised' && news.alert.severity === 'P1' && sound?.checked) beep();
}

async function begin() {
  if (inbox) stream('/api/v1/alerts/stream', heard, (isUp) => connected('alerts', isUp));
  const view = await openMap(document.getElementById('map'));
  fleet = new Fleet(view, pick);
  window.__fleet = fleet;
  stream('/api/v1/positions/stream', (_, position) => { fleet.place(position); count(); }, (isUp) => connected('positions', isUp));
  for (const position of await all('/api/v1/positions')) fleet.place(position);
  count();
  fleet.fit();
  if (inbox) fleet.rank(await severities());
  if (selected) select(selected, {fly: true});
}

begin();
