/**
 * A TURN client: `node turn.mjs HOST:PORT FAMILY USERNAME CREDENTIAL [PEER...]`, with 4 or 6 as the family of the relay's address.
 *
 * It asks for a relay, and then for a permission of each peer. It prints the server's answers in one line: `allocated` with 0 or the
 * code of the refusal, and `peers` with the same of each. Then it holds the relay until it is killed. See <https://www.rfc-editor.org/rfc/rfc8656>.
 */

import { createHash, createHmac, randomBytes } from "node:crypto";
import { once } from "node:events";
import { connect, isIPv6 } from "node:net";
import { argv } from "node:process";
import { within } from "./harness.mjs";

const [, , address, family, username, credential, ...peers] = argv;

const COOKIE = Buffer.from([0x21, 0x12, 0xa4, 0x42]);
const HEADER_BYTES = 20;
const INTEGRITY_BYTES = 24;

const ALLOCATE = 0x0003;
const CREATE_PERMISSION = 0x0008;
/** The bits of an answer of success, and of an error, in its type. */
const [SUCCESS, FAILURE] = [0x0100, 0x0110];

const USERNAME = 0x0006;
const INTEGRITY = 0x0008;
const ERROR_CODE = 0x0009;
const XOR_PEER_ADDRESS = 0x0012;
const REALM = 0x0014;
const NONCE = 0x0015;
const ADDRESS_FAMILY = 0x0017;
const TRANSPORT = 0x0019;

const UNAUTHORIZED = 401;
const UDP = Buffer.from([17, 0, 0, 0]);
const FAMILY = { 4: 1, 6: 2 };
const PORT = 4444;

/** An attribute, padded to whole words. */
function attribute(type, value) {
  const head = Buffer.alloc(4);
  head.writeUInt16BE(type, 0);
  head.writeUInt16BE(value.length, 2);
  return Buffer.concat([head, value, Buffer.alloc(-value.length & 3)]);
}

function message(type, id, length, attributes) {
  const head = Buffer.alloc(4);
  head.writeUInt16BE(type, 0);
  head.writeUInt16BE(length, 2);
  return Buffer.concat([head, COOKIE, id, ...attributes]);
}

/** The attributes of a message, by their types. */
function attributes(bytes) {
  const found = new Map();
  for (let at = HEADER_BYTES; at < bytes.length; ) {
    const length = bytes.readUInt16BE(at + 2);
    found.set(bytes.readUInt16BE(at), bytes.subarray(at + 4, at + 4 + length));
    at += 4 + length + (-length & 3);
  }
  return found;
}

/** The bytes of an IP address. */
function bytesOf(ip) {
  if (!isIPv6(ip)) return Buffer.from(ip.split(".").map(Number));
  // The URL writes an address that ends like one of IPv4 in hexadecimal, too.
  const text = new URL(`http://[${ip}]`).hostname.slice(1, -1);
  const [head, tail] = text.split("::").map((half) => half.split(":").filter(Boolean));
  const zeros = Array(8 - head.length - (tail?.length ?? 0)).fill("0");
  const groups = tail === undefined ? head : [...head, ...zeros, ...tail];
  return Buffer.from(groups.map((group) => group.padStart(4, "0")).join(""), "hex");
}

/** The value of an address's attribute: a family, and port and address under a mask. */
function masked(ip, id) {
  const mask = Buffer.concat([COOKIE, id]);
  const head = Buffer.from([0, FAMILY[isIPv6(ip) ? 6 : 4], 0, 0]);
  head.writeUInt16BE(PORT ^ mask.readUInt16BE(0), 2);
  return Buffer.concat([head, bytesOf(ip).map((byte, index) => byte ^ mask[index])]);
}

/** A connection to a TURN server, with one request at a time. */
class Turn {
  #socket;
  #received = Buffer.alloc(0);
  #login = [];
  #key;

  constructor(socket) {
    this.#socket = socket;
  }

  static async open(host, port) {
    const socket = connect(port, host);
    await within("a connection", once(socket, "connect"));
    return new Turn(socket);
  }

  /** Sends a request, once more with the server's nonce if it demands one. Returns 0, or the code of the refusal. */
  async request(type, values) {
    let { code, answer } = await this.#attempt(type, values);
    if (code === UNAUTHORIZED && this.#key === undefined) {
      const [realm, nonce] = [REALM, NONCE].map((name) => answer.get(name));
      this.#login = [[USERNAME, Buffer.from(username)], [REALM, realm], [NONCE, nonce]];
      this.#key = createHash("md5").update(`${username}:${realm}:${credential}`).digest();
      ({ code } = await this.#attempt(type, values));
    }
    return code;
  }

  async #attempt(type, values) {
    const id = randomBytes(12);
    const signed = [...values(id), ...this.#login].map(([name, value]) => attribute(name, value));
    const length = Buffer.concat(signed).length;
    if (this.#key === undefined) {
      this.#socket.write(message(type, id, length, signed));
    } else {
      // The signature counts itself in the length.
      const request = message(type, id, length + INTEGRITY_BYTES, signed);
      const signature = createHmac("sha1", this.#key).update(request).digest();
      this.#socket.write(Buffer.concat([request, attribute(INTEGRITY, signature)]));
    }
    const bytes = await within("an answer", this.#next());
    const kind = bytes.readUInt16BE(0);
    if (!bytes.subarray(8, HEADER_BYTES).equals(id)) throw new Error("an answer to another request");
    const answer = attributes(bytes);
    if (kind === (type | SUCCESS)) return { code: 0, answer };
    if (kind !== (type | FAILURE)) throw new Error(`a message of type ${kind}`);
    const reason = answer.get(ERROR_CODE);
    return { code: reason[2] * 100 + reason[3], answer };
  }

  async #next() {
    const isWhole = () => {
      const { length } = this.#received;
      return length >= HEADER_BYTES && length >= HEADER_BYTES + this.#received.readUInt16BE(2);
    };
    while (!isWhole()) {
      const [data] = await once(this.#socket, "data");
      this.#received = Buffer.concat([this.#received, data]);
    }
    const end = HEADER_BYTES + this.#received.readUInt16BE(2);
    const first = this.#received.subarray(0, end);
    this.#received = this.#received.subarray(end);
    return first;
  }
}

const { hostname, port } = new URL(`http://${address}`);
const turn = await Turn.open(hostname.replace(/[[\]]/g, ""), Number(port));
const relay = [[TRANSPORT, UDP], [ADDRESS_FAMILY, Buffer.from([FAMILY[family], 0, 0, 0])]];
const allocated = await turn.request(ALLOCATE, () => relay);
const answers = {};
for (const peer of peers) {
  answers[peer] = await turn.request(CREATE_PERMISSION, (id) => [[XOR_PEER_ADDRESS, masked(peer, id)]]);
}
console.log(JSON.stringify({ allocated, peers: answers }));
