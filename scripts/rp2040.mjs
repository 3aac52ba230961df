// The Pico's image in rp2040js, an emulator of the RP2040 in JavaScript: its USB serial port on a TCP socket,
// its log (RTT) on standard output.
//
//   node scripts/rp2040.mjs IMAGE.uf2 PORT RTT_ADDRESS [OLED.pbm]
//
// An OLED (SSD1306, 128×64) is connected to I²C 0; what it shows is kept in OLED.pbm.
// Connects to 127.0.0.1:PORT. The chip's boot ROM is not there: execution begins at the vector table behind the
// 256 bytes of the second stage, where the boot ROM would end. rp2040js is looked for in target/tools.

import { createRequire } from 'node:module';
import fs from 'node:fs';
import net from 'node:net';
import path from 'node:path';
import { fileURLToPath } from 'node:url';

const [image, port, rttAddress, picture] = process.argv.slice(2);
if (rttAddress === undefined) {
  console.error('usage: node scripts/rp2040.mjs IMAGE.uf2 PORT RTT_ADDRESS [OLED.pbm]');
  process.exit(2);
}
const here = path.dirname(fileURLToPath(import.meta.url));
const tools = path.join(here, '..', 'target', 'tools', 'package.json');
const { ConsoleLogger, LogLevel, RP2040, USBCDC } = createRequire(tools)('rp2040js');

const FLASH = 0x10000000;
const RAM = 0x20000000;
const VECTORS = FLASH + 0x100;
const NANOSECONDS_A_CYCLE = 1e9 / 125e6;
const BATCH = 20_000;

const chip = new RP2040();
chip.logger = new ConsoleLogger(LogLevel.Error, false);
const uf2 = fs.readFileSync(image);
for (let at = 0; at < uf2.length; at += 512) {
  const address = uf2.readUInt32LE(at + 12);
  const size = uf2.readUInt32LE(at + 16);
  chip.flash.set(uf2.subarray(at + 32, at + 32 + size), address - FLASH);
}
chip.core.VTOR = VECTORS;
chip.core.reset();

// What came from the host and was not asked for yet, and how many bytes the chip asks for.
let pending = [];
let asked = 0;
const cdc = new USBCDC(chip.usbCtrl);
// A buffer belongs to the USB controller until a packet came (RP2040 datasheet, 4.1.2.5.1); the package takes the
// bit that says so away at once, and answers with an empty packet where there are no bytes.
const AVAILABLE = 1 << 10;
const bufferControl = () => 0x84 + 8 * cdc.outEndpoint;
chip.usbCtrl.onEndpointRead = (endpoint, size) => {
  if (endpoint === cdc.outEndpoint) {
    asked = size;
    const control = chip.usbDPRAMView.getUint32(bufferControl(), true);
    chip.usbDPRAMView.setUint32(bufferControl(), control | AVAILABLE, true);
  }
};
function deliver(packet) {
  const control = chip.usbDPRAMView.getUint32(bufferControl(), true);
  chip.usbDPRAMView.setUint32(bufferControl(), control & ~AVAILABLE, true);
  chip.usbCtrl.finishRead(cdc.outEndpoint, packet);
}
const socket = net.connect(Number(port), '127.0.0.1');
socket.on('data', (bytes) => pending.push(...bytes));
socket.on('close', () => process.exit(0));
socket.on('error', () => process.exit(1));
cdc.onSerialData = (bytes) => socket.write(Buffer.from(bytes));

// The OLED: after its address a transfer says by its first byte whether commands (0x00) or pixels (0x40)
// follow; a byte is eight pixels of a column, the upper one first (Solomon Systech, SSD1306, 8.1.5 and 10.1).
const OLED = 0x3c;
const oled = { pixels: new Uint8Array(1024), columns: [0, 127], pages: [0, 7], column: 0, page: 0 };
const bus = chip.i2c[0];
let kind = null;
let command = [];
let drawn = false;
bus.onConnect = (address) => {
  kind = null;
  bus.completeConnect(address === OLED);
};
bus.onWriteByte = (byte) => {
  if (kind === null) {
    kind = byte;
  } else if (kind === 0x40) {
    oled.pixels[oled.page * 128 + oled.column] = byte;
    drawn = true;
    if (++oled.column > oled.columns[1]) {
      oled.column = oled.columns[0];
      oled.page = oled.page === oled.pages[1] ? oled.pages[0] : oled.page + 1;
    }
  } else {
    command.push(byte);
    // Only what sets the place takes arguments that matter here.
    if (command[0] === 0x21 && command.length === 3) {
      oled.columns = command.slice(1);
      oled.column = command[1];
      command = [];
    } else if (command[0] === 0x22 && command.length === 3) {
      oled.pages = command.slice(1);
      oled.page = command[1];
      command = [];
    } else if (command[0] !== 0x21 && command[0] !== 0x22) {
      command = [];
    }
  }
  bus.completeWrite(true);
};

// The camera's bus: something acknowledges and reads as 0xff, so that no camera is found. (Where nothing
// acknowledges, this package's I²C never says that it is done.)
chip.i2c[1].onConnect = () => chip.i2c[1].completeConnect(true);
chip.i2c[1].onWriteByte = () => chip.i2c[1].completeWrite(true);

function keepPicture() {
  if (!drawn || picture === undefined) {
    return;
  }
  drawn = false;
  const rows = Buffer.alloc(128 * 8);
  for (let y = 0; y < 64; y++) {
    for (let x = 0; x < 128; x++) {
      if (oled.pixels[(y >> 3) * 128 + x] & (1 << (y & 7))) {
        rows[y * 16 + (x >> 3)] |= 0x80 >> (x & 7);
      }
    }
  }
  // Whole or not at all, for whoever reads it meanwhile.
  fs.writeFileSync(`${picture}.part`, Buffer.concat([Buffer.from('P4\n128 64\n'), rows]));
  fs.renameSync(`${picture}.part`, picture);
}

// The control block of RTT: 16 bytes of identity, two counts, then the first channel to the host:
// name, buffer, size, place written next, place read next, flags (SEGGER, UM08001, 16.3).
const channel = Number(rttAddress) - RAM + 24;
const word = (offset) => chip.sramView.getUint32(channel + offset, true);
function log() {
  const [buffer, size, written] = [word(4), word(8), word(12)];
  let read = word(16);
  if (size === 0 || read === written) {
    return;
  }
  const bytes = [];
  for (; read !== written; read = (read + 1) % size) {
    bytes.push(chip.sram[buffer - RAM + read]);
  }
  chip.sramView.setUint32(channel + 16, read, true);
  process.stdout.write(Buffer.from(bytes));
}

function run() {
  if (asked > 0 && pending.length > 0) {
    const packet = new Uint8Array(pending.splice(0, asked));
    asked = 0;
    deliver(packet);
  }
  for (let step = 0; step < BATCH; step++) {
    if (chip.core.waiting) {
      const idle = Math.max(chip.clock.nanosToNextAlarm, NANOSECONDS_A_CYCLE);
      chip.clock.tick(idle);
      step += idle / NANOSECONDS_A_CYCLE;
    } else {
      chip.clock.tick(chip.core.executeInstruction() * NANOSECONDS_A_CYCLE);
    }
  }
  log();
  keepPicture();
  setImmediate(run);
}
run();
