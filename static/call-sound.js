/** The sound of a call that rings. */

/** The pause between two rings, in milliseconds. */
const PAUSE_MS = 3_000;
/** The tones of a ring: their start in seconds, and their frequency in hertz. */
const TONES = [
  [0, 660],
  [0.18, 880],
  [0.45, 660],
  [0.63, 880],
];
const TONE_SECONDS = 0.16;
const VOLUME = 0.08;

/** @type {AudioContext | undefined} */
let context;
/** @type {ReturnType<typeof setInterval> | undefined} */
let ringing;

/** Starts or ends the sound. A page that nobody has touched yet stays silent: browsers want it so. @param {boolean} on */
export function ring(on) {
  clearInterval(ringing);
  if (!on || navigator.userActivation?.hasBeenActive === false) return void context?.suspend();
  context ??= new AudioContext();
  context.resume().catch(() => {});
  play();
  ringing = setInterval(play, PAUSE_MS);
}

function play() {
  if (context?.state === "closed" || !context) return;
  const volume = new GainNode(context, { gain: VOLUME });
  volume.connect(context.destination);
  for (const [start, frequency] of TONES) {
    const tone = new OscillatorNode(context, { frequency });
    tone.connect(volume);
    tone.start(context.currentTime + start);
    tone.stop(context.currentTime + start + TONE_SECONDS);
  }
}
