/**
 * The connection's state, in words for people.
 *
 * @import { ParlorSocket } from "./parlor-client.js"
 * @import { ConnectError } from "./words.js"
 */

import { page } from "./page.js";
import { showWords } from "./text.js";
import { troubled } from "./words.js";

const TRANSPORTS = { websocket: "WebSocket", polling: "polling" };

/** Shows the state of a socket, now and after each change. @param {ParlorSocket} socket */
export function showConnection(socket) {
  let wasConnected = false;
  const show = () => {
    const [state, text] = describe(socket, wasConnected);
    page.status.dataset.state = state;
    page.status.textContent = text;
  };
  socket.on("connect", () => {
    wasConnected = true;
    showWords(page.trouble, null);
    socket.io.engine.once("upgrade", show);
    show();
  });
  socket.on("disconnect", show);
  socket.on("connect_error", (error) => {
    if (navigator.onLine) showWords(page.trouble, troubled(/** @type {ConnectError} */ (error)));
    show();
  });
  window.addEventListener("offline", show);
  window.addEventListener("online", () => {
    // Reconnects at once, not after the client's current backoff.
    if (!socket.connected) socket.disconnect().connect();
    show();
  });
  show();
}

/** @param {ParlorSocket} socket @param {boolean} wasConnected @returns {[string, string]} */
function describe(socket, wasConnected) {
  if (socket.connected) {
    const { name } = socket.io.engine.transport;
    return ["connected", `Connected · ${TRANSPORTS[/** @type {keyof typeof TRANSPORTS} */ (name)] ?? name}`];
  }
  if (!navigator.onLine) return ["offline", "Offline"];
  return ["connecting", wasConnected ? "Reconnecting…" : "Connecting…"];
}
