// Two short notes for a new P1, only where somebody has asked for them.
export function beep() {
  const context = new AudioContext();
  [660, 880].forEach((pitch, i) => {
    const note = context.createOscillator();
    const volume = context.createGain();
    volume.gain.value = 0.08;
    note.frequency.value = pitch;
    note.connect(volume).connect(context.destination);
    note.start(context.currentTime + i * 0.18);
    note.stop(context.currentTime + i * 0.18 + 0.14);
  });
}
