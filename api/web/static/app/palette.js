// Map inks; the page's own colours are in base.css.
const LIGHT = {
  land: '#eef0ee', grid: '#e2e5e3', road: '#ffffff', roadMajor: '#fdf1cf', roadEdge: '#cfd5d9', water: '#c6dcea', label: '#6a747f',
  risk: '#b3261e', yard: '#1d5b9f', region: '#5c6f82', track: '#1d5b9f', gap: '#8a96a3', text: '#1a2330',
  P1: '#c5221f', P2: '#c25a00', P3: '#8f6b00', P4: '#4f6b85', fine: '#237a4b', paper: '#ffffff',
};
const DARK = {
  land: '#12181f', grid: '#1b232c', road: '#2a343f', roadMajor: '#3a4654', roadEdge: '#0c1116', water: '#16263a', label: '#93a1b3',
  risk: '#ff8a80', yard: '#7fb2ea', region: '#8195a9', track: '#7fb2ea', gap: '#64717f', text: '#e3e9f1',
  P1: '#ff6b63', P2: '#ff9f4a', P3: '#e7c14c', P4: '#8fb0cf', fine: '#59c088', paper: '#12181f',
};

export function palette(isDark) {
  return isDark ? DARK : LIGHT;
}
