// The small map of a case: one vehicle, its error circle, and the fences around it.
import {openMap, ring} from './map.js';

const box = document.getElementById('map');
const at = [Number(box.dataset.lon), Number(box.dataset.lat)];
const {map, ink, show, shift} = await openMap(box, {center: at, zoom: 14.5, still: true});
map.jumpTo({center: shift(at)});
const accuracy = Number(box.dataset.accuracy);
const features = [{type: 'Feature', geometry: show({type: 'Point', coordinates: at}), properties: {}}];
if (accuracy > 0) features.push({type: 'Feature', geometry: show(ring(at, accuracy)), properties: {}});
map.addSource('fix', {type: 'geojson', data: {type: 'FeatureCollection', features}});
map.addLayer({id: 'fix-error', type: 'fill', source: 'fix', filter: ['==', ['geometry-type'], 'Polygon'], paint: {'fill-color': ink.track, 'fill-opacity': 0.15}});
const level = box.dataset.severity || 'fine';
map.addLayer({id: 'fix', type: 'symbol', source: 'fix', filter: ['==', ['geometry-type'], 'Point'], layout: {'icon-image': box.dataset.stale === 'true' ? `${level}-stale` : level, 'icon-size': 1.3, 'icon-allow-overlap': true}});
