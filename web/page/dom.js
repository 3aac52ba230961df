// Small helpers for the page.

/** Makes an element: `h('p', { class: 'soft' }, 'text', child)`. Text is text, never markup. */
export function h(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith('on')) element.addEventListener(name.slice(2), value);
    else if (value !== false && value !== null) element.setAttribute(name, value === true ? '' : value);
  }
  element.append(...children.flat().filter((child) => child !== null));
  return element;
}

export const byId = (id) => document.getElementById(id);

/** `94.1 %` */
export const percent = (fraction) => `${(100 * fraction).toFixed(1)} %`;

/** `1.23 ms` with three digits. */
export const milliseconds = (value) => `${value < 10 ? value.toFixed(2) : value.toFixed(1)} ms`;

/** Says something where screen readers hear it. */
export function say(text) {
  byId('status').textContent = text;
}

/** Shows what went wrong; `null` takes it away. */
export function complain(text) {
  const place = byId('problem');
  place.hidden = text === null;
  place.textContent = text ?? '';
}

/** Lets the browser draw, so that long work shows its progress. */
export const breathe = () => new Promise((resolve) => setTimeout(resolve));
