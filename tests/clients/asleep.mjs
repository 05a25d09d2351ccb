/**
 * Sets this process's clock ahead at SIGUSR2, as after a sleep, and says so on stderr: `node --import asleep.mjs …`.
 */

export const ASLEEP_MS = 10 * 60_000;

process.on("SIGUSR2", () => {
  const { now } = Date;
  Date.now = () => now() + ASLEEP_MS;
  console.error("asleep");
});
