// The desk of disposal: every form is one call of the API, and the page shows what became of it.
import {say} from './ages.js';
import {parse, plain} from './money.js';
import {call, toast} from './net.js';

const zone = document.body.dataset.zone;
const SHOWN_MS = 1200;

// datetime-local has no zone: what is typed is the time of the place the deployment works in.
function wallParts(moment) {
  return new Date(moment).toLocaleString('sv-SE', {timeZone: zone}).replace(' ', 'T');
}

function toMoment(text) {
  const asUtc = Date.parse(`${text}Z`);
  const shift = Date.parse(`${wallParts(asUtc)}Z`) - asUtc;
  const first = asUtc - shift;
  return new Date(asUtc - (Date.parse(`${wallParts(first)}Z`) - first)).toISOString();
}

function read(input) {
  const text = input.value.trim();
  const {kind, currency} = input.dataset;
  if (kind === 'bool') return text === 'yes';
  if (text === '') return undefined;
  if (kind === 'int') return Number.isSafeInteger(Number(text)) ? Number(text) : undefined;
  if (kind === 'moment') return toMoment(text);
  if (kind === 'money' || kind === 'minor') {
    const minor = parse(text, currency);
    if (minor === null) {
      input.setCustomValidity(say('lot.no_amount'));
      input.reportValidity();
      throw new Error('amount');
    }
    return kind === 'minor' ? minor : {amount_minor: minor, currency};
  }
  return text;
}

function bodyOf(form, button) {
  const data = {};
  for (const input of form.querySelectorAll('input[name], select[name], textarea[name]')) {
    const value = read(input);
    if (value !== undefined) data[input.name] = value;
  }
  if (button?.name) data[button.name] = button.value;
  return data;
}

function tell(answer) {
  if (!answer?.release_code) return Promise.resolve();
  const dialog = document.getElementById('told');
  document.getElementById('release-code').textContent = answer.release_code;
  dialog.showModal();
  return new Promise((seen) => dialog.addEventListener('close', seen, {once: true}));
}

async function send(form, button) {
  const [method, path] = form.dataset.call.split(' ');
  let data;
  try {
    data = bodyOf(form, button);
  } catch {
    return;
  }
  form.classList.add('waiting');
  try {
    form.dataset.key ||= crypto.randomUUID();
    const answer = await call(path, {method, data: Object.keys(data).length ? data : undefined, key: form.dataset.key});
    await tell(answer);
    if (answer?.approval && !answer.approval.decision) {
      toast(say('console.asked'));
      await new Promise((resume) => setTimeout(resume, SHOWN_MS));
    }
    if (form.dataset.then === 'case') location.assign(`/console/cases/${answer.id}`);
    else location.reload();
  } catch {
    // What was wrong is on the screen; a changed form is another command.
    delete form.dataset.key;
    form.classList.remove('waiting');
  }
}

document.addEventListener('submit', (event) => {
  const form = event.target.closest('form[data-call]');
  if (!form) return;
  event.preventDefault();
  send(form, event.submitter);
});
document.addEventListener('input', (event) => {
  event.target.setCustomValidity?.('');
  delete event.target.closest('form')?.dataset.key;
});
for (const input of document.querySelectorAll('input[data-minor]')) {
  if (!input.value) input.value = plain({amount_minor: Number(input.dataset.minor), currency: input.dataset.currency});
}
for (const input of document.querySelectorAll('input[data-at]')) {
  if (!input.value) input.value = wallParts(input.dataset.at);
}
document.querySelector('.stages .here')?.scrollIntoView({block: 'nearest', inline: 'center'});
document.documentElement.dataset.ready = 'yes';
