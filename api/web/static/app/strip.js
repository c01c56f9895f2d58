// Speed over time, with ignition as a band below and stays as shading; the cursor is the map's.
import uPlot from 'uplot';
import {say} from './ages.js';

const HEIGHT = 150;
const BAND = 7;

export class Strip {
  constructor(box, ink, zone, onMove) {
    Object.assign(this, {box, ink, zone, onMove, plot: null, stays: [], quiet: false});
    new ResizeObserver(() => this.plot?.setSize({width: this.#width(), height: HEIGHT})).observe(box);
  }

  show(fixes, stays, gapS) {
    this.plot?.destroy();
    this.stays = stays.map((stay) => [Date.parse(stay.started_at) / 1000, Date.parse(stay.started_at) / 1000 + stay.duration_s]);
    this.rank = [];
    const [times, speeds, ignition] = [[], [], []];
    fixes.forEach((fix, i) => {
      if (i && fix.ts - fixes[i - 1].ts > gapS) {
        times.push(fixes[i - 1].ts + 1);
        speeds.push(null);
        ignition.push(null);
        this.rank.push(i - 1);
      }
      times.push(fix.ts);
      speeds.push(fix.speed_kmh);
      ignition.push(fix.ignition);
      this.rank.push(i);
    });
    this.ignition = ignition;
    this.plot = new uPlot(this.#options(), [times, speeds], this.box);
  }

  // Put the cursor on a fix without telling the map about it.
  point(index) {
    if (!this.plot) return;
    const i = this.rank.indexOf(index);
    this.quiet = true;
    this.plot.setCursor({left: this.plot.valToPos(this.plot.data[0][i], 'x'), top: 0});
    this.quiet = false;
  }

  #width() {
    const {paddingLeft, paddingRight} = getComputedStyle(this.box);
    return this.box.clientWidth - parseFloat(paddingLeft) - parseFloat(paddingRight);
  }

  #options() {
    const {ink} = this;
    const axis = {stroke: ink.label, grid: {stroke: ink.grid, width: 1}, ticks: {stroke: ink.grid, width: 1}, font: '11px system-ui'};
    return {
      width: this.#width(), height: HEIGHT, legend: {show: false},
      tzDate: (ts) => uPlot.tzDate(new Date(ts * 1000), this.zone),
      cursor: {y: false, points: {size: 7}, drag: {x: true, y: false}},
      scales: {y: {range: (_, low, high) => [0, Math.max(60, high ?? 0)]}},
      axes: [{...axis, values: [[86400, '{MM}-{DD}', null, null, null, null, null, null, 1], [3600, '{HH}:{mm}', '\n{MM}-{DD}', null, '\n{MM}-{DD}', null, null, null, 1], [1, '{HH}:{mm}', '\n{MM}-{DD}', null, '\n{MM}-{DD}', null, null, null, 1]]}, {...axis, size: 46, values: (_, marks) => marks.map((v) => `${v}`), label: 'km/h', labelSize: 16, labelFont: '11px system-ui'}],
      series: [{}, {stroke: ink.track, width: 1.4, fill: `${ink.track}22`, points: {show: false}}],
      hooks: {drawClear: [(plot) => this.#shade(plot)], draw: [(plot) => this.#band(plot)], setCursor: [(plot) => this.#moved(plot)]},
    };
  }

  #moved(plot) {
    if (!this.quiet && plot.cursor.idx !== null && plot.cursor.event) this.onMove(this.rank[plot.cursor.idx]);
  }

  #shade(plot) {
    const {ctx, bbox} = plot;
    ctx.save();
    ctx.fillStyle = `${this.ink.P3}1f`;
    for (const [from, to] of this.stays) {
      const left = Math.max(bbox.left, plot.valToPos(from, 'x', true));
      const right = Math.min(bbox.left + bbox.width, plot.valToPos(to, 'x', true));
      if (right > left) ctx.fillRect(left, bbox.top, right - left, bbox.height);
    }
    ctx.restore();
  }

  #band(plot) {
    const {ctx, bbox} = plot;
    const height = BAND * devicePixelRatio;
    ctx.save();
    const times = plot.data[0];
    for (let i = 0; i < times.length - 1; i += 1) {
      if (!this.ignition[i]) continue;
      const left = plot.valToPos(times[i], 'x', true);
      const right = plot.valToPos(times[i + 1], 'x', true);
      ctx.fillStyle = this.ink.fine;
      ctx.fillRect(Math.max(bbox.left, left), bbox.top + bbox.height - height, Math.max(1, right - left + 1), height);
    }
    ctx.fillStyle = this.ink.label;
    ctx.font = `${10 * devicePixelRatio}px system-ui`;
    ctx.textAlign = 'left';
    ctx.fillText(say('strip.ignition'), bbox.left + 4 * devicePixelRatio, bbox.top + bbox.height - height - 4 * devicePixelRatio);
    ctx.restore();
  }
}
