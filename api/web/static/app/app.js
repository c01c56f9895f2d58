// On every page: ages that keep up, the purpose of looking, and words for what went wrong.
import 'htmx';
import {refreshAges} from './ages.js';
import {toast} from './net.js';

const COOKIE_DAYS = 30;
const purpose = document.getElementById('purpose');

function remember(name) {
  const seconds = COOKIE_DAYS * 86400;
  document.cookie = `pw_purpose=${name}; path=/; max-age=${seconds}; samesite=strict`;
}

if (purpose) {
  purpose.addEventListener('change', () => {
    remember(purpose.value);
    location.reload();
  });
}

document.addEventListener('htmx:response:error', async (event) => {
  const text = event.detail.ctx.text;
  let detail = text;
  try {
    detail = JSON.parse(text).detail;
  } catch {
    // A page instead of a problem: its text is all there is.
  }
  toast(detail || 'error', 'fault');
});
document.addEventListener('htmx:after:request', (event) => {
  const form = event.detail.ctx.sourceElement;
  if (form instanceof HTMLFormElement && event.detail.ctx.response.raw.ok) form.reset();
});
document.addEventListener('htmx:after:swap', refreshAges);

refreshAges();
setInterval(refreshAges, 5000);
