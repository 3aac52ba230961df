// A webcam, with permission: a picture several times a second.

import { byId, complain, h, say } from './dom.js';

/** Milliseconds between two pictures. */
const PAUSE = 120;

const PROBLEMS = {
  NotAllowedError: 'the browser did not allow the camera; allow it beside the address and start again',
  NotFoundError: 'there is no camera',
  NotReadableError: 'another program uses the camera',
  OverconstrainedError: 'that camera is gone; choose another one',
};

export class Webcam {
  /** @param show is called with the video element */
  constructor(show) {
    this.show = show;
    this.video = byId('video');
    byId('start').addEventListener('click', () => (this.stream ? this.stop() : this.start()));
    byId('cameras').addEventListener('change', () => { if (this.stream) this.start(); });
    navigator.mediaDevices?.addEventListener('devicechange', () => this.list());
  }

  async start() {
    this.stop();
    if (!navigator.mediaDevices) {
      complain('Camera: this browser gives none to a page opened like this; use `host serve`');
      return;
    }
    const chosen = byId('cameras').value;
    const video = chosen ? { deviceId: { exact: chosen } } : { facingMode: 'environment' };
    try {
      this.stream = await navigator.mediaDevices.getUserMedia({ video, audio: false });
    } catch (error) {
      complain(`Camera: ${PROBLEMS[error.name] ?? error.message}`);
      return;
    }
    complain(null);
    const stream = this.stream;
    stream.getVideoTracks()[0].addEventListener('ended', () => {
      if (this.stream !== stream) return;
      this.stop();
      this.list();
      complain('Camera: it was unplugged; connect it or choose another one and start again');
    });
    this.video.srcObject = stream;
    this.video.hidden = false;
    byId('start').textContent = 'Stop the camera';
    // Rejects where the camera was stopped meanwhile.
    await this.video.play().catch(() => {});
    await this.list();
    say('The camera is on');
    this.loop(stream);
  }

  /** Fills the list of cameras, of which browsers tell the names after permission only. */
  async list() {
    const devices = (await navigator.mediaDevices.enumerateDevices()).filter(({ kind }) => kind === 'videoinput');
    const current = this.stream?.getVideoTracks()[0]?.getSettings().deviceId;
    const option = ({ deviceId, label }, at) => h('option', { value: deviceId, selected: deviceId === current }, label || `camera ${at + 1}`);
    byId('cameras').replaceChildren(...devices.map(option));
    byId('cameras').parentElement.hidden = devices.length < 2;
  }

  loop(stream) {
    if (this.stream !== stream) return;
    if (this.video.videoWidth > 0 && !document.hidden) this.show(this.video);
    setTimeout(() => this.loop(stream), PAUSE);
  }

  stop() {
    this.stream?.getTracks().forEach((track) => track.stop());
    this.stream = null;
    this.video.srcObject = null;
    this.video.hidden = true;
    byId('start').textContent = 'Start the camera';
  }
}
