// Many pictures at once: a table, accuracy where folders are classes, a CSV file.

import { breathe, byId, complain, h, percent, say } from './dom.js';
import { folderOf } from './files.js';
import { readPicture } from './picture.js';

/** Rows put into the page; the CSV has all. */
const ROWS = 500;

/** Index of the class that a folder is named after, or -1. */
function classOf(model, folder) {
  const plain = (name) => name.toLowerCase().replace(/[^\p{L}\p{N}]/gu, '');
  return folder === '' ? -1 : model.classes.findIndex((name) => plain(name) === plain(folder));
}

export class Batch {
  constructor(engines) {
    this.engines = engines;
    this.results = [];
    byId('save').addEventListener('click', () => this.save());
    byId('stop').addEventListener('click', () => { this.isStopped = true; });
  }

  /** Classifies files; unreadable ones are told and do not stop the others. */
  async files(files) {
    const items = files.map(({ file, path }) => ({
      name: path,
      folder: folderOf(path),
      answers: async () => {
        const picture = await readPicture(file);
        try {
          return this.engines.map((engine) => engine.look(picture));
        } finally {
          picture.close();
        }
      },
      label: (engine) => classOf(engine.model, folderOf(path)),
    }));
    await this.run(items);
  }

  /** Classifies test pictures. */
  async tests(set) {
    const engines = this.engines.filter((engine) => engine.model.pictures === set.index);
    const items = set.labels.map((label, index) => ({
      name: `test picture ${set.numbers[index]}`,
      folder: set.classes[label],
      answers: async () => this.engines.map((engine) => (engines.includes(engine) ? engine.take(set.image(index)) : null)),
      label: (engine) => (engines.includes(engine) ? label : -1),
    }));
    await this.run(items);
  }

  async run(items) {
    this.results = [];
    this.isStopped = false;
    byId('many').hidden = false;
    byId('stop').hidden = false;
    const problems = [];
    let drawn = performance.now();
    for (const item of items) {
      if (this.isStopped) break;
      try {
        const answers = await item.answers();
        const labels = this.engines.map((engine) => item.label(engine));
        this.results.push({ name: item.name, folder: item.folder, answers, labels });
      } catch (error) {
        problems.push(error.message);
      }
      if (performance.now() - drawn > 100) {
        say(`${this.results.length} of ${items.length} pictures`);
        await breathe();
        drawn = performance.now();
      }
    }
    byId('stop').hidden = true;
    const more = problems.length > 3 ? `; and ${problems.length - 3} more` : '';
    complain(problems.length > 0 ? problems.slice(0, 3).join('; ') + more : null);
    this.show();
    byId('many').scrollIntoView();
    say(`${this.results.length} of ${items.length} pictures classified`);
  }

  /** Accuracy of an engine over pictures whose class is known, or null. */
  accuracy(at) {
    const known = this.results.filter((result) => result.labels[at] >= 0 && result.answers[at]);
    const right = known.filter((result) => result.answers[at].index === result.labels[at]);
    const sure = known.filter((result) => result.answers[at].verdict === 'sure');
    const sureRight = sure.filter((result) => result.answers[at].index === result.labels[at]);
    return known.length === 0 ? null : { known: known.length, right: right.length, sure: sure.length, sureRight: sureRight.length };
  }

  show() {
    const asked = this.engines.map((engine, at) => [engine, at]).filter(([, at]) => this.results.some(({ answers }) => answers[at]));
    const summary = asked.map(([engine, at]) => {
      const found = this.accuracy(at);
      if (!found) return h('li', {}, `${engine.model.name}: no folder is named after one of its classes, so nothing can be said of its accuracy`);
      const sure = found.sure === 0 ? 'sure of none' : `sure of ${percent(found.sure / found.known)}, right on ${percent(found.sureRight / found.sure)} of those`;
      return h('li', {}, `${engine.model.name}: right on ${found.right} of ${found.known} (${percent(found.right / found.known)}); ${sure}`);
    });
    byId('summary').replaceChildren(...summary);
    const cell = (answer, label) => {
      if (!answer) return h('td', { class: 'text' }, '–');
      const mark = label < 0 ? '' : answer.index === label ? 'right' : 'wrong';
      const text = answer.verdict === 'nothing' ? 'nothing there' : `${answer.name} ${percent(answer.probabilities[answer.index])}`;
      return h('td', { class: `text ${mark}` }, text, answer.verdict === 'unsure' ? ' (not sure)' : '', mark === 'wrong' ? ' ✗' : mark === 'right' ? ' ✓' : '');
    };
    const rows = this.results.slice(0, ROWS).map(({ name, answers, labels }) => h('tr', {}, h('th', { scope: 'row' }, name), answers.map((answer, at) => cell(answer, labels[at]))));
    const head = h('tr', {}, h('th', { scope: 'col' }, 'picture'), this.engines.map((engine) => h('th', { scope: 'col', class: 'text' }, engine.model.name)));
    byId('table').replaceChildren(h('thead', {}, head), h('tbody', {}, rows));
    const left = this.results.length - rows.length;
    byId('left').textContent = left > 0 ? `${left} more are in the CSV file.` : '';
    byId('save').hidden = this.results.length === 0;
  }

  /** The results as a CSV file's text (RFC 4180); no cell begins as a formula of a spreadsheet. */
  csv() {
    const quoted = (value) => {
      const text = String(value).replace(/^[=+@\t\r]/, "'$&");
      return /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
    };
    const lines = [['picture', 'folder', 'model', 'hash', 'class', 'probability', 'verdict', 'logits']];
    for (const { name, folder, answers } of this.results) {
      answers.forEach((answer, at) => {
        const { model, hash } = this.engines[at];
        if (answer) lines.push([name, folder, model.name, hash, answer.name, answer.probabilities[answer.index].toFixed(4), answer.verdict, answer.logits.join(' ')]);
      });
    }
    return lines.map((line) => line.map(quoted).join(',') + '\r\n').join('');
  }

  save() {
    const address = URL.createObjectURL(new Blob([this.csv()], { type: 'text/csv' }));
    h('a', { href: address, download: 'answers.csv' }).click();
    setTimeout(() => URL.revokeObjectURL(address), 1000);
  }
}
