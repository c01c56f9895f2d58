// Marker images: colour and shape say how bad it is, a hollow one that the position is old.
const SIZE = 22;
const SCALE = 2;
export const LEVELS = ['fine', 'P4', 'P3', 'P2', 'P1'];

const SHAPES = {
  P1: [[11, 1], [21, 11], [11, 21], [1, 11]],
  P2: [[11, 2], [21, 19.5], [1, 19.5]],
  P3: [[3, 3], [19, 3], [19, 19], [3, 19]],
};

function draw(level, colour, paper, hollow) {
  const canvas = document.createElement('canvas');
  canvas.width = canvas.height = SIZE * SCALE;
  const pen = canvas.getContext('2d');
  pen.scale(SCALE, SCALE);
  pen.beginPath();
  const shape = SHAPES[level];
  if (shape) {
    shape.forEach(([x, y], i) => (i ? pen.lineTo(x, y) : pen.moveTo(x, y)));
    pen.closePath();
  } else {
    pen.arc(11, 11, level === 'P4' ? 7 : 6, 0, 2 * Math.PI);
  }
  pen.lineJoin = 'round';
  pen.fillStyle = hollow ? paper : colour;
  pen.globalAlpha = hollow ? 0.75 : 1;
  pen.fill();
  pen.globalAlpha = 1;
  pen.lineWidth = hollow ? 2.4 : 1.6;
  pen.strokeStyle = hollow ? colour : paper;
  pen.stroke();
  return pen.getImageData(0, 0, canvas.width, canvas.height);
}

function arrow(colour, paper) {
  const canvas = document.createElement('canvas');
  canvas.width = canvas.height = 30 * SCALE;
  const pen = canvas.getContext('2d');
  pen.scale(SCALE, SCALE);
  pen.beginPath();
  pen.moveTo(15, 0.5);
  pen.lineTo(19.5, 6);
  pen.lineTo(10.5, 6);
  pen.closePath();
  pen.fillStyle = colour;
  pen.fill();
  pen.lineWidth = 0.8;
  pen.strokeStyle = paper;
  pen.stroke();
  return pen.getImageData(0, 0, canvas.width, canvas.height);
}

export async function drawIcons(map, ink) {
  for (const level of LEVELS) {
    map.addImage(level, draw(level, ink[level], ink.paper, false), {pixelRatio: SCALE});
    map.addImage(`${level}-stale`, draw(level, ink[level], ink.paper, true), {pixelRatio: SCALE});
  }
  map.addImage('arrow', arrow(ink.text, ink.paper), {pixelRatio: SCALE});
}
