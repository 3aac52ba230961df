// What each layer makes of the picture, as tiles of one channel each, and where the time goes.

import { breathe, h, milliseconds } from './dom.js';

/** Most tiles shown of a layer. */
const TILES = 64;
/** Pixels between tiles. */
const GAP = 1;

export class Layers {
  constructor(engine) {
    this.engine = engine;
    const { steps } = engine.model;
    this.rows = steps.map((step, index) => this.row(step, index));
    this.status = h('span', { class: 'soft', role: 'status' });
    this.element = h(
      'details',
      { class: 'layers', ontoggle: () => this.refresh() },
      h('summary', {}, 'Layers'),
      h('p', { class: 'soft' }, 'Each tile is a channel of the layer’s output as it lies in the chip’s memory after that step: black for the layer’s lowest value, white for its highest.'),
      h('p', {}, h('button', { type: 'button', onclick: () => this.measure() }, 'measure the layers'), ' ', this.status),
      h('ol', { class: 'steps' }, this.rows.map((row) => row.element)),
    );
  }

  row(step, index) {
    const time = h('span', { class: 'number' }, '');
    const bar = h('meter', { max: 1, value: 0, hidden: true, 'aria-label': `share of the time, step ${index + 1}` });
    const [height, width, channels] = step.shape ?? [0, 0, 0];
    const canvas = step.shape ? h('canvas', { role: 'img', 'aria-label': `${channels} channels of ${step.layers}` }) : null;
    const shown = channels > TILES && height * width > 1 ? `, ${TILES} of them shown` : '';
    const isLast = index === this.engine.model.steps.length - 1;
    const size = step.shape ? `${height}×${width}×${channels}${shown}` : isLast ? 'logits' : 'rearranged';
    const head = h('div', { class: 'step' }, h('strong', {}, step.layers), h('span', { class: 'soft' }, `${size}; kernel ${step.kernel}`), h('span', { class: 'time' }, bar, time));
    return { element: h('li', {}, head, canvas ?? ''), canvas, time, bar };
  }

  /** Draws the tiles, where they are seen. */
  refresh() {
    if (!this.element.open) return;
    this.rows.forEach(({ canvas }, index) => {
      if (canvas) drawTiles(canvas, this.engine.model.steps[index].shape, this.engine.activations(index));
    });
  }

  async measure() {
    this.status.textContent = 'measuring …';
    await breathe();
    const times = this.engine.stepTimes();
    const whole = times.reduce((sum, time) => sum + time, 0) || 1;
    this.rows.forEach(({ time, bar }, index) => {
      time.textContent = milliseconds(times[index]);
      bar.hidden = false;
      bar.value = times[index] / whole;
    });
    this.status.textContent = `${milliseconds(whole)} together`;
  }
}

/** Draws `[height][width][channels]` values, a tile a channel; a layer without height and width is one row of dots. */
function drawTiles(canvas, [height, width, channels], values) {
  const isFlat = height * width === 1;
  const [rows, columns, count] = isFlat ? [1, channels, 1] : [height, width, Math.min(channels, TILES)];
  const across = isFlat ? 1 : Math.max(1, Math.min(count, Math.round(Math.sqrt((count * rows * 2.5) / columns))));
  const down = Math.ceil(count / across);
  canvas.width = across * (columns + GAP) - GAP;
  canvas.height = down * (rows + GAP) - GAP;
  const low = values.reduce((a, b) => Math.min(a, b));
  const range = Math.max(1, values.reduce((a, b) => Math.max(a, b)) - low);
  const context = canvas.getContext('2d');
  context.clearRect(0, 0, canvas.width, canvas.height);
  for (let tile = 0; tile < count; tile += 1) {
    const image = new ImageData(columns, rows);
    for (let at = 0; at < columns * rows; at += 1) {
      const gray = (255 * (values[isFlat ? at : at * channels + tile] - low)) / range;
      image.data.set([gray, gray, gray, 255], 4 * at);
    }
    context.putImageData(image, (tile % across) * (columns + GAP), Math.floor(tile / across) * (rows + GAP));
  }
}
