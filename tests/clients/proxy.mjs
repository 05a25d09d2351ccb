/**
 * A reverse proxy that serves the server under a path of its own, like nginx's `location /chat/ { proxy_pass
 * http://parlor/; }`.
 */

import { createServer, request } from "node:http";
import { connect } from "node:net";
import { url } from "./harness.mjs";

export const PREFIX = "/chat/";

/**
 * Starts a proxy until the test's end, and returns the address of the page behind it; each request gets the `headers`.
 */
export async function startProxy(t, headers = {}) {
  const { hostname, port } = new URL(url);
  const server = createServer((incoming, answer) => {
    const path = stripped(incoming.url);
    if (path === null) return answer.writeHead(404).end();
    const options = { hostname, port, path, method: incoming.method, headers: { ...incoming.headers, ...headers } };
    const outgoing = request(options, (answered) => {
      answer.writeHead(answered.statusCode, answered.headers);
      answered.pipe(answer);
    });
    outgoing.on("error", () => answer.destroy());
    incoming.on("error", () => outgoing.destroy());
    answer.on("close", () => outgoing.destroy());
    incoming.pipe(outgoing);
  });
  server.on("upgrade", (incoming, socket, head) => upgrade(incoming, socket, head, { hostname, port, headers }));
  await new Promise((listening) => server.listen(0, "127.0.0.1", listening));
  t.after(() => {
    server.closeAllConnections();
    server.close();
  });
  return `http://127.0.0.1:${server.address().port}${PREFIX}`;
}

/** Passes on a WebSocket's handshake, and then all bytes both ways. */
function upgrade(incoming, socket, head, { hostname, port, headers }) {
  const path = stripped(incoming.url);
  if (path === null) return socket.destroy();
  const outgoing = connect(port, hostname, () => {
    const lines = Object.entries({ ...incoming.headers, ...headers }).map(([name, value]) => `${name}: ${value}\r\n`);
    outgoing.write(`GET ${path} HTTP/1.1\r\n${lines.join("")}\r\n`);
    outgoing.write(head);
    socket.pipe(outgoing).pipe(socket);
  });
  for (const [from, to] of [[socket, outgoing], [outgoing, socket]]) {
    from.on("error", () => to.destroy());
    from.on("close", () => to.destroy());
  }
}

/** Returns a path as the server knows it, and `null` outside the prefix. */
function stripped(path) {
  return path.startsWith(PREFIX) ? path.slice(PREFIX.length - 1) : null;
}
