// Playback: the map and the strip of speed and ignition share one cursor.
import {ageOf, say, telemetryNow} from './ages.js';
import {boundsOf, openMap} from './map.js';
import {all, call} from './net.js';
import {Strip} from './strip.js';

const box = document.getElementById('playback');
const play = document.getElementById('play');
const rate = document.getElementById('rate');
const vehicle = box.dataset.vehicle;
const zone = document.body.dataset.zone;
const GAP_S = 900;
const clock = new Intl.DateTimeFormat(document.documentElement.lang, {timeZone: zone, month: '2-digit', day: '2-digit', hour: '2-digit', minute: '2-digit', second: '2-digit', hour12: false});
const EMPTY = {type: 'FeatureCollection', features: []};

document.getElementById('map').dataset.map = box.dataset.map;
const view = await openMap(document.getElementById('map'));
const strip = new Strip(document.getElementById('strip'), view.ink, zone, moveTo);
let fixes = [];
let at = 0;
let playing = 0;

layers();
document.querySelector('.ranges').addEventListener('click', (event) => {
  const hours = Number(event.target.dataset?.hours);
  if (hours) load(hours);
});
play.addEventListener('click', () => (playing ? pause() : start()));
document.addEventListener('keydown', (event) => {
  if (event.target.closest('input, textarea, select, button')) return;
  if (event.key === ' ') { event.preventDefault(); play.click(); }
  if (event.key === 'ArrowRight') moveTo(Math.min(fixes.length - 1, at + 1));
  if (event.key === 'ArrowLeft') moveTo(Math.max(0, at - 1));
});
await load(24);

async function load(hours) {
  pause();
  for (const button of document.querySelectorAll('.ranges button')) button.classList.toggle('on', Number(button.dataset.hours) === hours);
  const to = new Date(telemetryNow() + 1000);
  const from = new Date(to - hours * 3600e3);
  const range = `from=${from.toISOString()}&to=${to.toISOString()}`;
  const id = encodeURIComponent(vehicle);
  const [track, stays] = await Promise.all([call(`/api/v1/tracks/${id}?${range}`), all(`/api/v1/stays?vehicle_id=${id}&${range}&limit=500`)]);
  fixes = track.fixes.map((fix) => ({...fix, ts: Date.parse(fix.t) / 1000, place: view.shift([fix.lon, fix.lat])}));
  draw(stays);
  strip.show(fixes, stays, GAP_S);
  document.getElementById('track-text').textContent = fixes.length ? say('track.count', {n: track.total}) : say('track.none');
  if (fixes.length) {
    view.map.fitBounds(boundsOf(fixes.map((fix) => fix.place)), {padding: 50, maxZoom: 16, duration: 0});
    moveTo(fixes.length - 1);
  }
}

function layers() {
  const {map, ink} = view;
  for (const name of ['track', 'marks', 'cursor']) map.addSource(name, {type: 'geojson', data: EMPTY});
  const line = {type: 'line', source: 'track', layout: {'line-cap': 'round', 'line-join': 'round'}};
  map.addLayer({...line, id: 'track-gap', filter: ['get', 'gap'], paint: {'line-color': ink.gap, 'line-width': 1.5, 'line-dasharray': [1, 2.5]}});
  map.addLayer({...line, id: 'track', filter: ['!', ['get', 'gap']], paint: {'line-color': ink.track, 'line-width': 2.6, 'line-opacity': 0.85}});
  map.addLayer({id: 'stays', type: 'circle', source: 'marks', filter: ['==', ['get', 'kind'], 'stay'], paint: {'circle-color': ink.P3, 'circle-opacity': 0.25, 'circle-stroke-color': ink.P3, 'circle-stroke-width': 1.5, 'circle-radius': ['interpolate', ['linear'], ['sqrt', ['get', 'hours']], 0, 5, 5, 22]}});
  map.addLayer({id: 'alarms', type: 'symbol', source: 'marks', filter: ['==', ['get', 'kind'], 'alarm'], layout: {'icon-image': 'P1', 'icon-size': 0.8, 'icon-allow-overlap': true}});
  map.addLayer({id: 'cursor', type: 'circle', source: 'cursor', paint: {'circle-radius': 7, 'circle-color': ink.track, 'circle-stroke-color': ink.paper, 'circle-stroke-width': 2.5}});
  map.on('click', 'track', (event) => moveTo(nearest(event.lngLat)));
}

function draw(stays) {
  const parts = [];
  let run = [];
  fixes.forEach((fix, i) => {
    if (i && fix.ts - fixes[i - 1].ts > GAP_S) {
      parts.push(part(run, false), part([fixes[i - 1].place, fix.place], true));
      run = [];
    }
    run.push(fix.place);
  });
  parts.push(part(run, false));
  view.map.getSource('track').setData({type: 'FeatureCollection', features: parts.filter((one) => one.geometry.coordinates.length > 1)});
  const marks = stays.filter((stay) => stay.lat !== null).map((stay) => mark([stay.lon, stay.lat], {kind: 'stay', hours: stay.duration_s / 3600}));
  marks.push(...fixes.filter((fix) => fix.alarms.length).map((fix) => mark([fix.lon, fix.lat], {kind: 'alarm'})));
  view.map.getSource('marks').setData({type: 'FeatureCollection', features: marks});
}

function part(coordinates, gap) {
  return {type: 'Feature', geometry: {type: 'LineString', coordinates}, properties: {gap}};
}

function mark(place, properties) {
  return {type: 'Feature', geometry: view.show({type: 'Point', coordinates: place}), properties};
}

function nearest({lng, lat}) {
  let best = 0;
  let least = Infinity;
  fixes.forEach((fix, i) => {
    const far = (fix.place[0] - lng) ** 2 + (fix.place[1] - lat) ** 2;
    if (far < least) [best, least] = [i, far];
  });
  return best;
}

function moveTo(index) {
  if (!fixes.length || index === null) return;
  at = index;
  const fix = fixes[at];
  view.map.getSource('cursor').setData({type: 'Feature', geometry: {type: 'Point', coordinates: fix.place}, properties: {}});
  strip.point(at);
  const words = [clock.format(fix.ts * 1000), ageOf(fix.ts * 1000)];
  if (fix.speed_kmh !== null) words.push(`${Math.round(fix.speed_kmh)} km/h`);
  if (fix.ignition !== null) words.push(say(fix.ignition ? 'ignition.on' : 'ignition.off'));
  if (fix.late_by_s > 120) words.push(say('track.late', {n: Math.round(fix.late_by_s / 60)}));
  document.getElementById('cursor-text').textContent = words.join(' · ');
}

function start() {
  if (!fixes.length) return;
  if (at >= fixes.length - 1) at = 0;
  let moment = fixes[at].ts;
  let before = performance.now();
  play.textContent = '❚❚';
  const tick = (now) => {
    moment += (now - before) / 1000 * Number(rate.value);
    before = now;
    let next = at;
    while (next < fixes.length - 1 && fixes[next + 1].ts <= moment) next += 1;
    // Nobody wants to watch a parked night: a gap is jumped over.
    if (next < fixes.length - 1 && fixes[next + 1].ts - moment > GAP_S) moment = fixes[next + 1].ts;
    if (next !== at) moveTo(next);
    if (at >= fixes.length - 1) pause();
    else playing = requestAnimationFrame(tick);
  };
  playing = requestAnimationFrame(tick);
}

function pause() {
  cancelAnimationFrame(playing);
  playing = 0;
  play.textContent = '▶';
}
