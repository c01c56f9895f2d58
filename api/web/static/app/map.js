// The map: works without any tile server. Background, graticule, the deployment's own roads and fences.
import {Map as MapView, NavigationControl, ScaleControl} from 'maplibre-gl';
import {say} from './ages.js';
import {shifted, shifter} from './datum.js';
import {drawIcons} from './icons.js';
import {call, all, toast} from './net.js';
import {palette} from './palette.js';

const dark = matchMedia('(prefers-color-scheme: dark)');
const EMPTY = {type: 'FeatureCollection', features: []};
const FENCE_RISK = ['second_pledge', 'pawn', 'used_car_market', 'scrap', 'chop_shop', 'impound'];

export async function openMap(container, {center = [104, 35], zoom = 3, still = false} = {}) {
  const config = JSON.parse(container.dataset.map);
  const ink = palette(dark.matches);
  const map = new MapView({
    container, center, zoom, style: config.style_url || ownStyle(config, ink), attributionControl: config.style_url || config.tile_url ? {compact: true} : false,
    fadeDuration: 0, dragRotate: false, pitchWithRotate: false, maxZoom: 19, cooperativeGestures: still,
    locale: {'NavigationControl.ZoomIn': '+', 'NavigationControl.ZoomOut': '−'},
  });
  map.touchZoomRotate.disableRotation();
  map.addControl(new NavigationControl({showCompass: false}), 'bottom-right');
  map.addControl(new ScaleControl({unit: 'metric'}), 'bottom-left');
  badgeOnTileFailure(map, container, config);
  await new Promise((resolve) => map.once(config.style_url ? 'load' : 'style.load', resolve));
  await drawIcons(map, ink);
  const shift = shifter(config.datum);
  graticule(map, ink);
  await ground(map, ink, shift);
  const view = {map, ink, shift, show: (geometry) => shifted(geometry, shift)};
  window.__map = map;
  return view;
}

function ownStyle(config, ink) {
  const style = {version: 8, sources: {}, layers: [{id: 'background', type: 'background', paint: {'background-color': ink.land}}]};
  if (config.tile_url) {
    style.sources.tiles = {type: 'raster', tiles: [config.tile_url], tileSize: 256, maxzoom: 18};
    style.layers.push({id: 'tiles', type: 'raster', source: 'tiles'});
  }
  return style;
}

function badgeOnTileFailure(map, container, config) {
  if (!config.style_url && !config.tile_url) return;
  map.on('error', (event) => {
    if (!event.sourceId && !event.error?.url && !event.error?.status) return;
    if (container.querySelector('.no-base')) return;
    const badge = document.createElement('p');
    badge.className = 'no-base';
    badge.textContent = say('map.no_base');
    container.append(badge);
  });
}

function graticule(map, ink) {
  map.addSource('graticule', {type: 'geojson', data: EMPTY});
  map.addLayer({id: 'graticule', type: 'line', source: 'graticule', paint: {'line-color': ink.grid, 'line-width': 1}});
  const draw = () => {
    const bounds = map.getBounds();
    const width = Math.max(0.002, bounds.getEast() - bounds.getWest());
    const step = [30, 10, 5, 2, 1, 0.5, 0.2, 0.1, 0.05, 0.02, 0.01, 0.005, 0.002].find((size) => width / size >= 5) ?? 0.001;
    const lines = [];
    const from = (edge) => Math.floor(edge / step) * step;
    const [west, east, south, north] = [bounds.getWest(), bounds.getEast(), Math.max(-85, bounds.getSouth()), Math.min(85, bounds.getNorth())];
    for (let lon = from(west); lon <= east + step; lon += step) lines.push([[lon, south], [lon, north]]);
    for (let lat = from(south); lat <= north + step; lat += step) lines.push([[west, lat], [east, lat]]);
    map.getSource('graticule').setData({type: 'Feature', geometry: {type: 'MultiLineString', coordinates: lines}});
  };
  map.on('moveend', draw);
  draw();
}

async function ground(map, ink, shift) {
  const [roads, fences] = await Promise.all([call('/api/v1/map/roads'), all('/api/v1/fences')]).catch((error) => {
    toast(error.message, 'fault');
    return [EMPTY, []];
  });
  const place = (feature) => ({...feature, geometry: shifted(feature.geometry, shift)});
  map.addSource('ground', {type: 'geojson', data: {...roads, features: roads.features.map(place)}});
  const kind = ['coalesce', ['get', 'category'], ['get', 'kind'], ''];
  const major = ['match', kind, ['ring', 'arterial', 'expressway'], true, false];
  const of = (layer, ...more) => ['all', ['==', ['get', 'layer'], layer], ...more];
  const width = (wide, thin) => ['interpolate', ['exponential', 1.5], ['zoom'], 9, ['case', major, wide * 0.25, thin * 0.16], 13, ['case', major, wide * 0.8, thin * 0.5], 17, ['case', major, wide * 4, thin * 3.2]];
  const line = {type: 'line', source: 'ground', layout: {'line-cap': 'round', 'line-join': 'round'}};
  map.addLayer({id: 'water', type: 'fill', source: 'ground', filter: of('water', ['==', ['geometry-type'], 'Polygon']), paint: {'fill-color': ink.water}});
  map.addLayer({...line, id: 'river', filter: of('water', ['==', ['geometry-type'], 'LineString']), paint: {'line-color': ink.water, 'line-width': ['interpolate', ['exponential', 1.6], ['zoom'], 9, 3, 13, 14, 17, 60]}});
  map.addLayer({...line, id: 'road-edge', minzoom: 11, filter: of('road'), paint: {'line-color': ink.roadEdge, 'line-width': width(6.5, 4.6)}});
  map.addLayer({...line, id: 'road', filter: of('road'), paint: {'line-color': ['case', major, ink.roadMajor, ink.road], 'line-width': width(5, 3)}});
  const risk = ['in', ['get', 'category'], ['literal', FENCE_RISK]];
  const colour = ['case', risk, ink.risk, ['in', ['get', 'category'], ['literal', ['yard']]], ink.yard, ink.region];
  map.addSource('fences', {type: 'geojson', data: {type: 'FeatureCollection', features: fences.map((fence) => fenceFeature(fence, shift))}});
  map.addLayer({id: 'fence-fill', type: 'fill', source: 'fences', filter: ['all', ['==', ['geometry-type'], 'Polygon'], ['!', ['in', ['get', 'category'], ['literal', ['allowed_region', 'region']]]]], paint: {'fill-color': colour, 'fill-opacity': 0.12}});
  map.addLayer({id: 'fence-line', type: 'line', source: 'fences', paint: {'line-color': colour, 'line-width': ['case', risk, 1.8, 1.4], 'line-dasharray': [3, 2]}});
  map.addLayer({id: 'place', type: 'circle', source: 'ground', minzoom: 13, filter: of('place'), paint: {'circle-radius': 2.6, 'circle-color': ink.label, 'circle-opacity': 0.7}});
  const text = {'text-font': ['sans-serif'], 'text-size': 11, 'text-field': ['get', 'name'], 'text-max-width': 12};
  const halo = {'text-halo-color': ink.land, 'text-halo-width': 1.4};
  map.addLayer({id: 'fence-name', type: 'symbol', source: 'fences', minzoom: 11.5, filter: ['!', ['in', ['get', 'category'], ['literal', ['allowed_region', 'region']]]], layout: text, paint: {'text-color': colour, ...halo}});
  map.addLayer({id: 'road-name', type: 'symbol', source: 'ground', minzoom: 12.5, filter: of('road', major), layout: {...text, 'symbol-placement': 'line', 'symbol-spacing': 380, 'text-field': named()}, paint: {'text-color': ink.label, ...halo}});
  map.addLayer({id: 'place-name', type: 'symbol', source: 'ground', minzoom: 14, filter: of('place'), layout: {...text, 'text-size': 10.5, 'text-field': named(), 'text-anchor': 'top', 'text-offset': [0, 0.5]}, paint: {'text-color': ink.label, ...halo}});
}

function named() {
  const english = document.documentElement.lang === 'en';
  return ['coalesce', english ? ['get', 'name_en'] : ['get', 'name'], ['get', 'name'], ''];
}

function fenceFeature(fence, shift) {
  const geometry = fence.kind === 'circle' ? ring(fence.geometry.coordinates, fence.radius_m) : fence.geometry;
  return {type: 'Feature', geometry: shifted(geometry, shift), properties: {id: fence.id, name: fence.name || fence.id, category: fence.category}};
}

export function ring([lon, lat], radiusM, corners = 72) {
  const dLat = radiusM / 111320;
  const dLon = dLat / Math.cos(lat * Math.PI / 180);
  const points = Array.from({length: corners + 1}, (_, i) => {
    const turn = 2 * Math.PI * i / corners;
    return [lon + dLon * Math.cos(turn), lat + dLat * Math.sin(turn)];
  });
  return {type: 'Polygon', coordinates: [points]};
}

export function boundsOf(points) {
  const lons = points.map((at) => at[0]);
  const lats = points.map((at) => at[1]);
  return [[Math.min(...lons), Math.min(...lats)], [Math.max(...lons), Math.max(...lats)]];
}
