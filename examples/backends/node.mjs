// The backend of a shop: it signs users in to the chat, opens a room for each order, and hears what is said.
import { createHmac } from "node:crypto";
import { readFile } from "node:fs/promises";
import { createServer } from "node:http";
import { setTimeout as wait } from "node:timers/promises";
import { Webhook } from "standardwebhooks";

const { API_KEY, JWT_SECRET, WEBHOOK_SECRET, PARLOR_URL = "http://localhost:3000", PORT = "8080" } = process.env;
const PASSWORDS = { ann: "apple", bob: "banana" }; // Your sign-in stands here: a session, a cookie.
const TEMPORARY = [429, 502, 503, 504];
const ATTEMPTS = 8;
const MAX_BODY_BYTES = 1024 * 1024;
const MAX_SEEN = 10_000;
const PAGE = new URL("page.html", import.meta.url);
const NO_STORE = { "cache-control": "no-store" };
const webhook = new Webhook(WEBHOOK_SECRET);
const seen = new Set(); // the newest ids of webhooks

// Returns a token for the chat: user `sub`, until `exp`, in these rooms.
function chatToken(user) {
  const base64 = (value) => Buffer.from(JSON.stringify(value)).toString("base64url");
  const exp = Math.floor(Date.now() / 1000) + 3600;
  const signed = `${base64({ alg: "HS256", typ: "JWT" })}.${base64({ sub: user, exp, rooms: ["order-*"] })}`;
  return `${signed}.${createHmac("sha256", JWT_SECRET).update(signed).digest("base64url")}`;
}

// Calls Parlor, again after a temporary refusal or a lost answer. Every call here may be repeated.
async function parlor(method, path, body, headers = {}) {
  const request = {
    method,
    headers: { authorization: `Bearer ${API_KEY}`, "content-type": "application/json", ...headers },
    body: JSON.stringify(body),
  };
  for (let attempt = 1; ; attempt++) {
    const { status, retryAfter, answer } = await once(path, request);
    if (status < 300) return answer;
    const isTemporary = status === undefined || TEMPORARY.includes(status);
    if (!isTemporary || attempt === ATTEMPTS) throw Object.assign(new Error(`Parlor: ${answer}`), { status });
    const backoff = 0.1 * 2 ** attempt * (0.5 + Math.random());
    await wait(1000 * (retryAfter || backoff));
  }
}

async function once(path, request) {
  try {
    const response = await fetch(`${PARLOR_URL}/api/v1${path}`, { ...request, signal: AbortSignal.timeout(20_000) });
    const answer = await response.text();
    return { status: response.status, retryAfter: Number(response.headers.get("retry-after")), answer };
  } catch (error) {
    return { answer: error.message };
  }
}

// Opens the room of an order for its customer and the support, and confirms the order in it.
async function confirm(order, customer) {
  const roomId = `order-${order}`;
  const room = { roomId, title: `Order ${order}`, access: "members", userId: customer };
  await parlor("POST", "/rooms", room).catch((error) => {
    if (error.status !== 409) throw error; // The room exists.
  });
  await parlor("PUT", "/members", { roomId, userId: "support" });
  const message = { roomId, userId: "shop", message: "Thank you for your order." };
  // However often it is sent, the message with this key is stored once.
  await parlor("POST", "/messages", message, { "idempotency-key": `${roomId}-confirmed` });
}

// Takes a webhook once. A real backend stores it here, with its id as a unique key, and works on it later.
function take(body, headers) {
  const { type, data } = webhook.verify(body, headers);
  const id = headers["webhook-id"];
  if (seen.has(id)) return;
  seen.add(id);
  if (seen.size > MAX_SEEN) seen.delete(seen.values().next().value);
  if (type === "message.created") console.log(`${data.roomId}: ${data.userId}: ${data.message}`);
}

function signedIn({ headers: { authorization = "" } }) {
  const credentials = authorization.replace(/^Basic /, "");
  const [user, password] = Buffer.from(credentials, "base64").toString().split(":");
  return Object.hasOwn(PASSWORDS, user) && PASSWORDS[user] === password && user;
}

async function read(request) {
  const chunks = [];
  let bytes = 0;
  for await (const chunk of request) {
    chunks.push(chunk);
    if ((bytes += chunk.length) > MAX_BODY_BYTES) return undefined;
  }
  return Buffer.concat(chunks).toString();
}

async function answer(request) {
  const route = `${request.method} ${request.url}`;
  if (route === "POST /webhooks") {
    const body = await read(request);
    if (body === undefined) return [413];
    try {
      take(body, request.headers);
    } catch {
      return [401];
    }
    return [204];
  }
  const user = signedIn(request);
  if (!user) return [401, "sign in", { "www-authenticate": "Basic" }];
  if (route === "GET /") return [200, await readFile(PAGE), { "content-type": "text/html" }];
  if (route === "POST /token") return [200, JSON.stringify({ token: chatToken(user) }), NO_STORE];
  const [, order] = route.match(/^POST \/orders\/(\w+)$/) ?? [];
  if (!order) return [404];
  await confirm(order, user);
  return [204];
}

const server = createServer(async (request, response) => {
  const failed = (error) => (console.error(error), [502]);
  const [status, body, headers] = await answer(request).catch(failed);
  response.writeHead(status, headers).end(body);
});
server.listen(PORT, () => console.log(`http://localhost:${server.address().port}`));
