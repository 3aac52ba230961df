// One model: the firmware's engine in WebAssembly, fed with pictures and inputs.

/** What `look` and `take` answer, see web/src/lib.rs. */
const VERDICTS = ['nothing', 'unsure', 'sure'];
const REFUSALS = { 3: 'the size is none that the engine takes', 4: 'the weights in this page are damaged; make it again' };

/** Displays by number, with their width and height in pixels. */
export const SCREENS = [
  { name: 'OLED, 16 grays', width: 128, height: 64 },
  { name: 'OLED, one bit', width: 128, height: 64 },
  { name: 'colour panel', width: 240, height: 240 },
];

/** Bytes of base64. */
export const decoded = (text) => Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));

/** Bytes of base64 of gzip. */
async function unpacked(text) {
  const stream = new Blob([decoded(text)]).stream().pipeThrough(new DecompressionStream('gzip'));
  return new Uint8Array(await new Response(stream).arrayBuffer());
}

export class Engine {
  /** @param model an entry of the page's data */
  static async load(model) {
    const engine = new Engine();
    engine.model = model;
    const page = {
      row: (y, to) => engine.picture.copyRow(y, new Uint8Array(engine.memory, to, 4 * engine.picture.width)),
      now: () => Math.round(performance.now() * 1000) >>> 0,
    };
    const { instance } = await WebAssembly.instantiate(await unpacked(model.wasm), { page });
    engine.wasm = instance.exports;
    if (engine.wasm.start() !== 1) throw new Error(`${model.name}: ${REFUSALS[4]}`);
    engine.hash = [...engine.bytes(engine.wasm.hash(), 8)].map((byte) => byte.toString(16).padStart(2, '0')).join('');
    return engine;
  }

  /** The memory as it is now: it grows, and what was seen of it before is worth nothing then. */
  get memory() {
    return this.wasm.memory.buffer;
  }

  bytes(pointer, length) {
    return new Uint8Array(this.memory, pointer, length);
  }

  get inputLength() {
    const { height, width, channels } = this.model.input;
    return height * width * channels;
  }

  /** Classifies a picture as a board does a camera's. */
  look(picture) {
    this.picture = picture;
    return this.answer(this.wasm.look(picture.width, picture.height));
  }

  /** Classifies an input as it is. */
  take(pixels) {
    this.bytes(this.wasm.input(), this.inputLength).set(pixels);
    return this.answer(this.wasm.take());
  }

  answer(verdict) {
    if (verdict in REFUSALS) throw new Error(REFUSALS[verdict]);
    const count = this.model.classes.length;
    const logits = new Int32Array(this.memory, this.wasm.logits(), count);
    const shares = new Uint16Array(this.memory, this.wasm.shares(), count);
    return {
      verdict: VERDICTS[verdict],
      index: this.wasm.class(),
      name: this.model.classes[this.wasm.class()],
      logits: [...logits],
      probabilities: [...shares].map((share) => share / 256),
    };
  }

  /** What the network sees: `[height][width][channels]` bytes. */
  seen() {
    return this.bytes(this.wasm.input(), this.inputLength);
  }

  /** Red, green, blue and alpha bytes of a display. */
  screen(kind) {
    const { width, height } = SCREENS[kind];
    return new ImageData(new Uint8ClampedArray(this.bytes(this.wasm.screen(kind), 4 * width * height)), width, height);
  }

  /** Milliseconds of one inference, from as many as take a while. */
  milliseconds() {
    return timed((times) => this.wasm.repeat(times));
  }

  /** Output of a step: `[height][width][channels]` values from -128 to 127. */
  activations(index) {
    const { output, shape } = this.model.steps[index];
    const arena = this.wasm.steps(index + 1);
    return new Int8Array(this.memory, arena + output, shape[0] * shape[1] * shape[2]).slice();
  }

  /** Milliseconds of each step: what the steps up to it take beyond those before it. */
  stepTimes() {
    const run = (count) => (times) => {
      for (let time = 0; time < times; time += 1) this.wasm.steps(count);
    };
    const sums = [...this.model.steps, null].map((_, count) => timed(run(count)));
    return this.model.steps.map((_, index) => Math.max(0, sums[index + 1] - sums[index]));
  }
}

/** Milliseconds of one of `work(times)`: at least 25 ms are measured, as clocks of browsers are coarse. */
function timed(work) {
  for (let times = 1; ; times *= 2) {
    const start = performance.now();
    work(times);
    const spent = performance.now() - start;
    if (spent >= 25 || times >= 1 << 20) return spent / times;
  }
}
