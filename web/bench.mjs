// Times inferences of a module in Node, whose engine is Chromium's: `node web/bench.mjs MODULE.wasm ROUNDS TIMES`.
// Prints the milliseconds of an inference, the best of the rounds.

import { readFileSync } from 'node:fs';

const [path, rounds, times] = process.argv.slice(2);
const page = { row() {}, now: () => 0 };
const { instance } = await WebAssembly.instantiate(readFileSync(path), { page });
const { start, input, take, repeat } = instance.exports;
if (start() !== 1) throw new Error('the weights are damaged');
input();
take();
let best = Infinity;
for (let round = 0; round < Number(rounds); round += 1) {
  const begun = performance.now();
  repeat(Number(times));
  best = Math.min(best, (performance.now() - begun) / Number(times));
}
console.log(best);
