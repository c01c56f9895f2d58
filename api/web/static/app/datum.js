// The map's tiles may be drawn in GCJ-02 or BD-09. What we show is shifted to fit them; nothing else is.
// Formulas as in core/geo/frames.py.
const A = 6378245.0;
const EE = 0.00669342162296594323;
const TURN = Math.PI * 3000 / 180;

function series(x, y) {
  const common = (20 * Math.sin(6 * x * Math.PI) + 20 * Math.sin(2 * x * Math.PI)) * 2 / 3;
  const lat = -100 + 2 * x + 3 * y + 0.2 * y * y + 0.1 * x * y + 0.2 * Math.sqrt(Math.abs(x)) + common
    + (20 * Math.sin(y * Math.PI) + 40 * Math.sin(y / 3 * Math.PI)) * 2 / 3
    + (160 * Math.sin(y / 12 * Math.PI) + 320 * Math.sin(y * Math.PI / 30)) * 2 / 3;
  const lon = 300 + x + 2 * y + 0.1 * x * x + 0.1 * x * y + 0.1 * Math.sqrt(Math.abs(x)) + common
    + (20 * Math.sin(x * Math.PI) + 40 * Math.sin(x / 3 * Math.PI)) * 2 / 3
    + (150 * Math.sin(x / 12 * Math.PI) + 300 * Math.sin(x / 30 * Math.PI)) * 2 / 3;
  return [lon, lat];
}

function toGcj([lon, lat]) {
  const [dLon, dLat] = series(lon - 105, lat - 35);
  const rad = lat / 180 * Math.PI;
  const magic = 1 - EE * Math.sin(rad) ** 2;
  return [
    lon + dLon * 180 / (A / Math.sqrt(magic) * Math.cos(rad) * Math.PI),
    lat + dLat * 180 / ((A * (1 - EE)) / (magic * Math.sqrt(magic)) * Math.PI),
  ];
}

function toBd([lon, lat]) {
  const z = Math.hypot(lon, lat) + 0.00002 * Math.sin(lat * TURN);
  const theta = Math.atan2(lat, lon) + 0.000003 * Math.cos(lon * TURN);
  return [z * Math.cos(theta) + 0.0065, z * Math.sin(theta) + 0.006];
}

export function shifter(datum) {
  if (datum === 'gcj02') return toGcj;
  if (datum === 'bd09') return (at) => toBd(toGcj(at));
  return (at) => at;
}

export function shifted(geometry, shift) {
  const walk = (part) => (typeof part[0] === 'number' ? shift(part) : part.map(walk));
  return {...geometry, coordinates: walk(geometry.coordinates)};
}
