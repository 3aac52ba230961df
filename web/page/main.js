// Puts the page together: ways to a picture, then the models' answers.

import { Engine, decoded } from './engine.js';
import { byId, complain, h, say } from './dom.js';
import { chosen, dropped } from './files.js';
import { Picture, readPicture, showInput } from './picture.js';
import { Card } from './card.js';
import { Batch } from './batch.js';
import { Paper } from './draw.js';
import { Webcam } from './camera.js';

/** Longest side of the picture as the page shows it. */
const SHOWN = 320;

/** The page: its models, and the picture before them. */
class Try {
  constructor(engines, sets) {
    this.engines = engines;
    this.sets = sets;
    this.cards = engines.map((engine) => new Card(engine));
    byId('models').replaceChildren(...this.cards.map((card) => card.element));
    this.batch = new Batch(engines);
    this.paper = new Paper((canvas) => this.look(new Picture(canvas, 'your drawing')));
    this.webcam = new Webcam((video) => this.look(new Picture(video, 'the camera', video.videoWidth, video.videoHeight), true));
    for (const id of ['files', 'folder']) {
      byId(id).addEventListener('change', async ({ target }) => {
        await this.open(chosen(target));
        // The same file can be chosen again.
        target.value = '';
      });
    }
    this.acceptDrops();
    byId('tests').replaceChildren(...sets.map((set) => this.testPictures(set)));
    byId('no-tests').hidden = sets.length > 0;
  }

  acceptDrops() {
    document.addEventListener('dragover', (event) => event.preventDefault());
    document.addEventListener('drop', async (event) => {
      event.preventDefault();
      await dropped(event.dataTransfer).then((files) => this.open(files), (error) => complain(error.message));
    });
    document.addEventListener('paste', (event) => {
      const files = [...event.clipboardData.files].map((file) => ({ file, path: file.name }));
      if (files.length > 0) this.open(files);
    });
  }

  /** Classifies one file for all to see, or many into the table. */
  async open(files) {
    if (files.length === 0) {
      complain('There is no file in it; choose pictures, or a folder of them');
      return;
    }
    if (files.length > 1) {
      await this.batch.files(files);
      return;
    }
    try {
      const picture = await readPicture(files[0].file);
      this.look(picture);
      picture.close();
    } catch (error) {
      complain(error.message);
    }
  }

  /** Shows a picture to every model. */
  look(picture, isLive = false) {
    complain(null);
    picture.show(byId('picture'), SHOWN);
    this.caption(`${picture.name}, ${picture.width}×${picture.height}`);
    this.answer((engine) => engine.look(picture), isLive);
  }

  /** Shows a test picture: as their input to the models that it is for, as a photograph to the others. */
  test(set, index) {
    complain(null);
    const canvas = byId('picture');
    showInput(canvas, set.input, set.image(index));
    this.caption(`test picture ${set.numbers[index]} of ${set.dataset}: ${set.classes[set.labels[index]]}`);
    this.answer((engine) => (engine.model.pictures === set.index ? engine.take(set.image(index)) : engine.look(new Picture(canvas))), false);
  }

  caption(text) {
    byId('name').textContent = text;
  }

  answer(ask, isLive) {
    const words = this.cards.map((card) => {
      const { name } = card.engine.model;
      try {
        return card.show(ask(card.engine));
      } catch (error) {
        card.fail(error.message);
        return `${name}: ${error.message}`;
      }
    });
    if (!isLive) say(words.join('; '));
  }

  testPictures(set) {
    const thumbnail = (label, index) => {
      const canvas = h('canvas', { 'aria-hidden': 'true' });
      showInput(canvas, set.input, set.image(index));
      const name = `${set.classes[label]}, test picture ${set.numbers[index]}`;
      return h('button', { type: 'button', class: 'thumbnail', title: name, 'aria-label': name, onclick: () => this.test(set, index) }, canvas);
    };
    return h(
      'section',
      { 'aria-label': `Test pictures of ${set.dataset}` },
      h('p', { class: 'soft' }, `${set.labels.length} test pictures of ${set.dataset}, evenly chosen; `, h('button', { type: 'button', onclick: () => this.batch.tests(set) }, 'classify all')),
      h('div', { class: 'thumbnails' }, set.labels.map(thumbnail)),
    );
  }
}

/** Decodes a set of test pictures: one PNG with all of them, one below another. */
async function pictureSet(set, index) {
  const { height, width, channels } = set.input;
  const png = new File([decoded(set.pixels)], 'test pictures', { type: 'image/png' });
  const column = await readPicture(png);
  const row = new Uint8Array(4 * width);
  const image = (at) => {
    const pixels = new Uint8Array(height * width * channels);
    for (let y = 0; y < height; y += 1) {
      column.copyRow(at * height + y, row);
      for (let x = 0; x < width; x += 1) {
        pixels.set(row.subarray(4 * x, 4 * x + channels), (y * width + x) * channels);
      }
    }
    return pixels;
  };
  return { ...set, index, image };
}

async function main() {
  const data = JSON.parse(byId('data').textContent);
  const engines = await Promise.all(data.models.map((model) => Engine.load(model)));
  const sets = await Promise.all(data.pictures.map(pictureSet));
  const page = new Try(engines, sets);
  if (sets.length > 0) page.test(sets[0], 0);
  page.cards.forEach((card) => card.measure());
  say('Ready');
  document.documentElement.dataset.ready = 'yes';
  return page;
}

// Named, so that a test or a curious person finds the engines in the browser's console.
globalThis.garments = main().catch((error) => {
  complain(`The page could not be started: ${error.message}`);
  throw error;
});
