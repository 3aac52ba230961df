// Drawing with pen, finger or mouse on white paper.

import { byId } from './dom.js';

export class Paper {
  /** @param done is called with the canvas after every stroke */
  constructor(done) {
    this.done = done;
    this.canvas = byId('paper');
    this.context = this.canvas.getContext('2d', { willReadFrequently: true });
    this.clear();
    this.canvas.addEventListener('pointerdown', (event) => this.begin(event));
    this.canvas.addEventListener('pointermove', (event) => this.move(event));
    for (const end of ['pointerup', 'pointercancel']) this.canvas.addEventListener(end, () => this.end());
    byId('clear').addEventListener('click', () => { this.clear(); this.done(this.canvas); });
  }

  clear() {
    this.context.fillStyle = '#fff';
    this.context.fillRect(0, 0, this.canvas.width, this.canvas.height);
    this.last = null;
  }

  /** Where a pointer is on the paper, which the page may show smaller than it is. */
  place(event) {
    const box = this.canvas.getBoundingClientRect();
    return [((event.clientX - box.left) * this.canvas.width) / box.width, ((event.clientY - box.top) * this.canvas.height) / box.height];
  }

  begin(event) {
    this.canvas.setPointerCapture(event.pointerId);
    this.last = this.place(event);
    this.line(this.last);
  }

  move(event) {
    if (this.last) this.line(this.place(event));
  }

  line(to) {
    const { context } = this;
    context.strokeStyle = byId('erase').checked ? '#fff' : '#333';
    context.lineWidth = Number(byId('width').value);
    context.lineCap = 'round';
    context.lineJoin = 'round';
    context.beginPath();
    context.moveTo(...this.last);
    context.lineTo(...to);
    context.stroke();
    this.last = to;
  }

  end() {
    if (!this.last) return;
    this.last = null;
    this.done(this.canvas);
  }
}
