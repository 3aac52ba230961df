// A model's card: answer, what the network sees, a board's screen, logits, layers.

import { SCREENS } from './engine.js';
import { h, milliseconds, percent } from './dom.js';
import { showInput } from './picture.js';
import { Layers } from './layers.js';

/** Classes shown as bars. */
const BARS = 5;

export class Card {
  constructor(engine) {
    this.engine = engine;
    const { model } = engine;
    this.title = h('p', { class: 'answer' }, 'no picture yet');
    this.bars = h('ol', { class: 'bars' });
    this.seen = h('canvas', { class: 'seen', role: 'img', 'aria-label': `What ${model.name} sees` });
    this.screen = h('canvas', { class: 'screen', role: 'img', 'aria-label': `A board's screen with ${model.name}` });
    this.kind = h('select', { onchange: () => this.showScreen() }, SCREENS.map((screen, at) => h('option', { value: at }, screen.name)));
    this.time = h('span', {}, '–');
    this.logits = h('tbody');
    this.layers = new Layers(engine);
    const { height, width, channels } = model.input;
    this.element = h(
      'article',
      { class: 'card', 'aria-label': `Model ${model.name}` },
      h('h3', {}, model.name),
      h('p', { class: 'soft' }, `${height}×${width} ${channels === 3 ? 'RGB' : 'gray'}, ${model.weight_bytes.toLocaleString('en')} B of weights, ${model.arena_bytes.toLocaleString('en')} B of memory`),
      this.title,
      this.bars,
      h('div', { class: 'views' },
        h('figure', {}, this.seen, h('figcaption', {}, 'what the network sees')),
        h('figure', {}, this.screen, h('figcaption', {}, h('label', {}, 'screen: ', this.kind)))),
      h('p', {}, this.time, ' an inference here ', h('button', { type: 'button', onclick: () => this.measure() }, 'measure')),
      h('details', {},
        h('summary', {}, 'Logits'),
        h('p', { class: 'soft' }, 'Raw accumulators of the last layer; network ', h('code', {}, engine.hash)),
        h('div', { class: 'scroll', tabindex: 0, role: 'region', 'aria-label': `Logits of ${model.name}` },
          h('table', {}, h('thead', {}, h('tr', {}, ['class', 'logit', 'probability'].map((name) => h('th', { scope: 'col' }, name)))), this.logits))),
      this.layers.element,
    );
    this.showScreen();
  }

  /** Shows an answer to what the engine was given last. */
  show(answer) {
    const { model } = this.engine;
    const best = answer.probabilities[answer.index];
    const words = { nothing: 'nothing there', unsure: `not sure: ${answer.name}?`, sure: answer.name };
    this.title.textContent = words[answer.verdict];
    this.title.dataset.verdict = answer.verdict;
    const order = model.classes.map((_, index) => index);
    order.sort((a, b) => answer.logits[b] - answer.logits[a] || a - b);
    const bar = (index) => {
      const share = answer.probabilities[index];
      return h('li', {}, h('span', {}, model.classes[index]), h('meter', { value: share, max: 1, 'aria-label': model.classes[index] }), h('span', { class: 'number' }, percent(share)));
    };
    this.bars.replaceChildren(...(answer.verdict === 'nothing' ? [] : order.slice(0, BARS).map(bar)));
    const row = (index) => h('tr', {}, h('th', { scope: 'row' }, model.classes[index]), h('td', {}, String(answer.logits[index])), h('td', {}, percent(answer.probabilities[index])));
    this.logits.replaceChildren(...model.classes.map((_, index) => row(index)));
    showInput(this.seen, model.input, this.engine.seen());
    this.showScreen();
    this.layers.refresh();
    return `${model.name}: ${words[answer.verdict]}${answer.verdict === 'nothing' ? '' : `, ${percent(best)}`}`;
  }

  /** Shows that a picture could not be classified. */
  fail(problem) {
    this.title.textContent = problem;
    this.title.dataset.verdict = 'nothing';
    this.bars.replaceChildren();
  }

  showScreen() {
    const kind = Number(this.kind.value);
    const image = this.engine.screen(kind);
    this.screen.width = image.width;
    this.screen.height = image.height;
    this.screen.getContext('2d').putImageData(image, 0, 0);
  }

  measure() {
    this.time.textContent = milliseconds(this.engine.milliseconds());
  }
}
