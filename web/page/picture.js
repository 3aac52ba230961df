// Pictures: decoded by the browser, handed to the engine row by row.

/** As the host: larger ones are refused. */
const MAX_PIXELS = 100e6;
const MAX_SIDE = 65535;
/** Pixels that are copied out of the browser at once. */
const BAND = 1 << 20;

export class Picture {
  /** @param source anything that a canvas can draw */
  constructor(source, name, width = source.width, height = source.height) {
    this.source = source;
    this.name = name;
    this.width = width;
    this.height = height;
    this.band = { first: 0, end: 0 };
  }

  /** Writes a row's red, green, blue and alpha bytes. */
  copyRow(y, to) {
    if (y < this.band.first || y >= this.band.end) this.readBand(y);
    const start = 4 * (y - this.band.first) * this.width;
    to.set(this.band.data.subarray(start, start + 4 * this.width));
  }

  readBand(first) {
    const rows = Math.min(this.height - first, Math.max(1, Math.floor(BAND / this.width)));
    const canvas = new OffscreenCanvas(this.width, rows);
    const context = canvas.getContext('2d', { willReadFrequently: true });
    context.drawImage(this.source, 0, first, this.width, rows, 0, 0, this.width, rows);
    this.band = { first, end: first + rows, data: context.getImageData(0, 0, this.width, rows).data };
  }

  /** Draws it into a canvas on the page, not larger than `side` each way. */
  show(canvas, side) {
    const scale = Math.min(1, side / Math.max(this.width, this.height));
    canvas.width = Math.max(1, Math.round(this.width * scale));
    canvas.height = Math.max(1, Math.round(this.height * scale));
    canvas.getContext('2d').drawImage(this.source, 0, 0, canvas.width, canvas.height);
  }

  /** Gives its memory back. */
  close() {
    this.band = { first: 0, end: 0 };
    this.source.close?.();
  }
}

/** Decodes a file; a failure says the file's name, what is wrong and what to do. */
export async function readPicture(file) {
  const refuse = (problem) => new Error(`${file.name}: ${problem}`);
  if (file.size === 0) throw refuse('the file is empty; choose a picture');
  let bitmap;
  try {
    // Turned as the camera noted, colours as they stand in the file: as the host reads it.
    bitmap = await createImageBitmap(file, { imageOrientation: 'from-image', colorSpaceConversion: 'none' });
  } catch {
    throw refuse('no picture that this browser can read; JPEG, PNG, WebP, GIF and BMP are');
  }
  const { width, height } = bitmap;
  if (width * height > MAX_PIXELS || Math.max(width, height) > MAX_SIDE) {
    bitmap.close();
    throw refuse(`${width}×${height} pixels, more than ${MAX_PIXELS / 1e6} million; make it smaller`);
  }
  return new Picture(bitmap, file.name);
}

/** Draws `[height][width][channels]` bytes into a canvas, pixel by pixel. */
export function showInput(canvas, { height, width, channels }, pixels) {
  canvas.width = width;
  canvas.height = height;
  const image = new ImageData(width, height);
  for (let at = 0; at < width * height; at += 1) {
    for (let colour = 0; colour < 3; colour += 1) {
      image.data[4 * at + colour] = pixels[channels === 3 ? 3 * at + colour : at];
    }
    image.data[4 * at + 3] = 255;
  }
  canvas.getContext('2d').putImageData(image, 0, 0);
}
