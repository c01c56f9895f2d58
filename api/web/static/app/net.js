// Talking to the API: problems become words on the screen, streams come back after a break.
const body = document.body;
const RETRY_MS = 2000;
const SILENT_MS = 45000;

export function toast(text, kind = 'word') {
  const line = document.createElement('p');
  line.className = kind;
  line.textContent = text;
  document.getElementById('toasts').append(line);
  setTimeout(() => line.remove(), 6000);
}

export function headers(extra = {}) {
  return {'X-CSRF-Token': body.dataset.csrf, Purpose: body.dataset.purpose, ...extra};
}

export async function call(path, {method = 'GET', data, key} = {}) {
  const extra = data === undefined ? {} : {'Content-Type': 'application/json'};
  if (key) extra['Idempotency-Key'] = key;
  const response = await fetch(path, {
    method, headers: headers(extra), body: data === undefined ? undefined : JSON.stringify(data),
  });
  if (response.status === 401) location.assign('/sign-in');
  if (!response.ok) {
    const problem = await response.json().catch(() => ({detail: response.statusText}));
    toast(problem.detail, 'fault');
    throw new Error(problem.detail);
  }
  return response.json();
}

export async function all(path) {
  const items = [];
  let next = null;
  do {
    const mark = path.includes('?') ? '&' : '?';
    const page = await call(next ? `${path}${mark}cursor=${encodeURIComponent(next)}` : path);
    items.push(...page.items);
    next = page.next;
  } while (next);
  return items;
}

// Server-sent events by fetch, because EventSource cannot send the Purpose header.
export function stream(path, onEvent, onState = () => {}, {after = null} = {}) {
  let lastId = after === null ? null : String(after);
  let stopped = false;
  let control = null;

  async function listen() {
    control = new AbortController();
    const watchdog = {timer: 0, feed() {
      clearTimeout(this.timer);
      this.timer = setTimeout(() => control.abort(), SILENT_MS);
    }};
    try {
      const response = await fetch(path, {
        headers: headers({Accept: 'text/event-stream', ...(lastId === null ? {} : {'Last-Event-ID': lastId})}), signal: control.signal, cache: 'no-store',
      });
      if (response.status === 401) location.assign('/sign-in');
      if (response.status === 400) lastId = null;
      if (!response.ok) throw new Error(String(response.status));
      onState(true);
      await read(response.body.getReader(), watchdog);
    } finally {
      clearTimeout(watchdog.timer);
    }
  }

  async function read(reader, watchdog) {
    const decoder = new TextDecoder();
    let buffer = '';
    for (;;) {
      watchdog.feed();
      const {done, value} = await reader.read();
      if (done) return;
      buffer += decoder.decode(value, {stream: true});
      const blocks = buffer.split('\n\n');
      buffer = blocks.pop();
      blocks.forEach(deliver);
    }
  }

  function deliver(block) {
    const data = [];
    let kind = 'message';
    for (const line of block.split('\n')) {
      if (line.startsWith('data:')) data.push(line.slice(5).trimStart());
      else if (line.startsWith('event:')) kind = line.slice(6).trim();
      else if (line.startsWith('id:')) lastId = line.slice(3).trim();
    }
    if (data.length) onEvent(kind, JSON.parse(data.join('\n')));
  }

  (async () => {
    while (!stopped) {
      try {
        await listen();
      } catch {
        // The state shows it; the next round starts from the last event that was seen.
      }
      onState(false);
      if (!stopped) await new Promise((resume) => setTimeout(resume, RETRY_MS));
    }
  })();
  addEventListener('pagehide', () => { stopped = true; control?.abort(); });
  return () => { stopped = true; control?.abort(); };
}
