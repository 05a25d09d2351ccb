/** A network that can be cut: a TCP proxy whose packets vanish meanwhile, and whose connections are dead afterwards. */

import { connect, createServer } from "node:net";

/** Starts one until the test's end, on a port of this machine (0: any), to another one. */
export async function startCut(t, target, port = 0) {
  const sockets = new Set();
  let isCut = false;
  const server = createServer((incoming) => {
    const outgoing = connect(target, "127.0.0.1");
    for (const [from, to] of [[incoming, outgoing], [outgoing, incoming]]) {
      sockets.add(from);
      from.on("data", (bytes) => isCut || to.write(bytes));
      from.on("end", () => isCut || to.end());
      from.on("error", () => to.destroy());
      from.on("close", () => {
        sockets.delete(from);
        if (!isCut) to.destroy();
      });
    }
  });
  await new Promise((listening) => server.listen(port, "127.0.0.1", listening));
  const drop = () => sockets.forEach((socket) => socket.destroy());
  t.after(() => {
    drop();
    server.close();
  });
  return {
    port: server.address().port,
    cut: () => (isCut = true),
    mend: () => {
      drop();
      isCut = false;
    },
  };
}
