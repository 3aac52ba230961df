// Files that were chosen or dropped, with the folders they lie in.

/** Whether a file in a chosen folder is hidden, or in a hidden folder of it: none of these is anybody's picture. */
const isHidden = (path) => path.split('/').slice(1).some((part) => part.startsWith('.'));

/** Files of an input element as `{ file, path }`. */
export function chosen(input) {
  const files = [...input.files].map((file) => ({ file, path: file.webkitRelativePath || file.name }));
  return files.filter(({ path }) => !isHidden(path));
}

/** Files that were dropped, those of folders too. */
export async function dropped(transfer) {
  // All items first: the browser forgets them after the event.
  const items = [...transfer.items].filter(({ kind }) => kind === 'file');
  const found = items.map((item) => ({ entry: item.webkitGetAsEntry?.(), file: item.getAsFile() }));
  const files = [];
  for (const { entry, file } of found) {
    // Browsers give no entry's file to a page opened from disk, but the item's.
    if (entry?.isDirectory) await collect(entry, files);
    else if (file) files.push({ file, path: file.name });
  }
  return files.filter(({ path }) => !isHidden(path));
}

async function collect(entry, files) {
  const path = entry.fullPath.replace(/^\//, '');
  const ask = (call) => new Promise((resolve, reject) => call(resolve, reject)).catch(() => {
    throw new Error(`${path}: this browser opens no dropped folder here; use “choose a folder”`);
  });
  if (entry.isFile) {
    files.push({ file: await ask((resolve, reject) => entry.file(resolve, reject)), path });
    return;
  }
  const reader = entry.createReader();
  const next = () => ask((resolve, reject) => reader.readEntries(resolve, reject));
  // A reader gives a hundred at a time.
  for (let some = await next(); some.length > 0; some = await next()) {
    for (const inner of some.sort((a, b) => (a.name < b.name ? -1 : 1))) await collect(inner, files);
  }
}

/** Name of the folder that a path's file lies in, or nothing. */
export const folderOf = (path) => path.split('/').at(-2) ?? '';
