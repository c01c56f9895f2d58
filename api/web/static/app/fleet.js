// Vehicles on the map: clusters carry the worst severity, old positions are hollow.
import {ageOf, learnNow, say, telemetryNow} from './ages.js';
import {LEVELS} from './icons.js';
import {boundsOf} from './map.js';

const STALE_MS = 30 * 60 * 1000;
const REDRAW_MS = 500;
// The chosen alert covers the right side of the map.
const PANEL_PX = 390;
const SOURCE = 'fleet';

export class Fleet {
  constructor(view, onPick) {
    this.view = view;
    this.onPick = onPick;
    this.positions = new Map();
    this.severities = new Map();
    this.timer = 0;
    this.selected = null;
    this.#layers();
    setInterval(() => this.redraw(), 30000);
  }

  get size() {
    return this.positions.size;
  }

  place(position) {
    if (position.vehicle_id === null) return;
    const known = this.positions.get(position.vehicle_id);
    if (known && Date.parse(known.t) > Date.parse(position.t)) return;
    learnNow(position.t, position.age_s);
    this.positions.set(position.vehicle_id, position);
    this.redraw();
  }

  // severities: vehicle id -> worst open severity
  rank(severities) {
    this.severities = severities;
    this.redraw();
  }

  select(vehicleId, {fly = false} = {}) {
    this.selected = vehicleId;
    this.redraw();
    const position = this.positions.get(vehicleId);
    if (position && fly) {
      this.view.map.easeTo({center: this.view.shift([position.lon, position.lat]), zoom: Math.max(14, this.view.map.getZoom()), offset: innerWidth > 900 ? [-PANEL_PX / 2, 0] : [0, 0], duration: 600});
    }
  }

  fit() {
    const points = [...this.positions.values()].map((at) => this.view.shift([at.lon, at.lat]));
    if (points.length) this.view.map.fitBounds(boundsOf(points), {padding: 60, maxZoom: 14, duration: 0});
  }

  redraw() {
    if (this.timer) return;
    this.timer = setTimeout(() => {
      this.timer = 0;
      this.view.map.getSource(SOURCE).setData(this.#collection());
      this.view.map.getSource('selected').setData({type: 'FeatureCollection', features: this.#chosen()});
    }, REDRAW_MS);
  }

  #collection() {
    return {type: 'FeatureCollection', features: [...this.positions.values()].map((at) => this.#feature(at))};
  }

  #feature(at) {
    const level = this.severities.get(at.vehicle_id) ?? 'fine';
    const stale = telemetryNow() - Date.parse(at.heard_at ?? at.t) > STALE_MS;
    const moving = !stale && at.speed_kmh > 3;
    return {
      type: 'Feature',
      geometry: {type: 'Point', coordinates: this.view.shift([at.lon, at.lat])},
      properties: {
        vehicle: at.vehicle_id, plate: at.plate ?? at.vehicle_id, rank: LEVELS.indexOf(level), stale,
        icon: stale ? `${level}-stale` : level, moving, heading: at.heading_deg ?? 0,
      },
    };
  }

  #chosen() {
    const at = this.positions.get(this.selected);
    return at ? [this.#feature(at)] : [];
  }

  #layers() {
    const {map, ink} = this.view;
    const ofRank = ['match', ['get', 'worst'], 4, ink.P1, 3, ink.P2, 2, ink.P3, 1, ink.P4, ink.fine];
    map.addSource(SOURCE, {type: 'geojson', data: {type: 'FeatureCollection', features: []}, cluster: true, clusterRadius: 36, clusterMaxZoom: 15, clusterProperties: {worst: ['max', ['get', 'rank']]}});
    map.addSource('selected', {type: 'geojson', data: {type: 'FeatureCollection', features: []}});
    map.addLayer({id: 'selected', type: 'circle', source: 'selected', paint: {'circle-radius': 18, 'circle-color': ink.track, 'circle-opacity': 0.18, 'circle-stroke-color': ink.track, 'circle-stroke-width': 2}});
    map.addLayer({id: 'clusters', type: 'circle', source: SOURCE, filter: ['has', 'point_count'], paint: {'circle-color': ink.paper, 'circle-stroke-color': ofRank, 'circle-stroke-width': ['interpolate', ['linear'], ['get', 'worst'], 0, 2, 4, 4.5], 'circle-radius': ['step', ['get', 'point_count'], 13, 10, 16, 100, 21, 1000, 27]}});
    map.addLayer({id: 'cluster-count', type: 'symbol', source: SOURCE, filter: ['has', 'point_count'], layout: {'text-field': ['get', 'point_count_abbreviated'], 'text-font': ['sans-serif'], 'text-size': 12, 'text-allow-overlap': true}, paint: {'text-color': ink.text}});
    map.addLayer({id: 'headings', type: 'symbol', source: SOURCE, filter: ['all', ['!', ['has', 'point_count']], ['get', 'moving']], layout: {'icon-image': 'arrow', 'icon-rotate': ['get', 'heading'], 'icon-rotation-alignment': 'map', 'icon-allow-overlap': true, 'icon-ignore-placement': true}});
    map.addLayer({id: 'vehicles', type: 'symbol', source: SOURCE, filter: ['!', ['has', 'point_count']], layout: {'icon-image': ['get', 'icon'], 'icon-allow-overlap': true, 'symbol-sort-key': ['get', 'rank'], 'text-field': ['step', ['zoom'], '', 12.5, ['get', 'plate']], 'text-font': ['sans-serif'], 'text-size': 11, 'text-offset': [0, 1.3], 'text-anchor': 'top', 'text-optional': true}, paint: {'text-color': ink.text, 'text-halo-color': ink.land, 'text-halo-width': 1.5}});
    for (const layer of ['vehicles', 'clusters']) {
      map.on('mouseenter', layer, () => { map.getCanvas().style.cursor = 'pointer'; });
      map.on('mouseleave', layer, () => { map.getCanvas().style.cursor = ''; });
    }
    map.on('click', 'vehicles', (event) => this.onPick([event.features[0].properties.vehicle], event.point));
    map.on('click', 'clusters', (event) => this.#open(event.features[0], event.point));
  }

  // A cluster that cannot be split (many cars on one spot) opens a list instead.
  async #open(cluster, point) {
    const source = this.view.map.getSource(SOURCE);
    const zoom = await source.getClusterExpansionZoom(cluster.properties.cluster_id);
    if (zoom <= 15 && zoom > this.view.map.getZoom()) {
      this.view.map.easeTo({center: cluster.geometry.coordinates, zoom: zoom + 0.3});
      return;
    }
    const leaves = await source.getClusterLeaves(cluster.properties.cluster_id, 100, 0);
    this.onPick(leaves.map((leaf) => leaf.properties.vehicle), point);
  }

  card(vehicleId) {
    const at = this.positions.get(vehicleId);
    const row = document.createElement('p');
    const link = document.createElement('a');
    link.className = 'plate';
    link.href = `/vehicles/${encodeURIComponent(vehicleId)}?tab=playback`;
    link.textContent = at?.plate ?? vehicleId;
    row.append(link);
    if (at) {
      const words = [ageOf(Date.parse(at.t))];
      if (at.speed_kmh !== null) words.push(`${Math.round(at.speed_kmh)} km/h`);
      if (at.ignition !== null) words.push(say(at.ignition ? 'ignition.on' : 'ignition.off'));
      row.append(` ${words.join(' · ')}`);
    }
    return row;
  }
}
