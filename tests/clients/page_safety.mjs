/** Markup in names, rooms and messages: `node page_safety.mjs URL`. */

import assert from "node:assert/strict";
import test, { after } from "node:test";
import { launch } from "./browser.mjs";
import { Visitor } from "./page.mjs";

const NAME = `<img src=x onerror="document.title='broken'">`;
const ROOM = `</title><script>alert(1)</script>"'&amp;`;
const TEXTS = [
  "<script>alert(1)</script>",
  "<img src=x onerror=alert(1)>",
  "<svg onload=alert(1)>",
  `"><iframe srcdoc="<script>alert(1)</script>"></iframe>`,
  `<a href="javascript:alert(1)">click</a>`,
  "javascript:alert(1) data:text/html,x vbscript:x //example.com",
  `https://example.com/"onmouseover="alert(1)`,
  "http://example.com/<b>'onclick='alert(1)",
  "\u202Egnp.exe &lt;b&gt; {{1+1}} ${1+1}",
];
const LINKS = ["https://example.com/", "http://example.com/"];

const browser = await launch({ after });

/** Records the browser's refusals. */
function init() {
  window.violations = [];
  document.addEventListener("securitypolicyviolation", ({ effectiveDirective }) => violations.push(effectiveDirective));
}

test("markup in a name, a room and a message stays text", async (t) => {
  const ann = await Visitor.join(t, browser, "ann", ROOM, { init });
  const eve = await Visitor.join(t, browser, NAME, ROOM, { init });
  await eve.box.pressSequentially("<");
  await ann.sees("#typing", `${NAME} is typing…`);
  for (const text of TEXTS) await eve.say(text);
  const expected = TEXTS.map((text) => [NAME, text]);
  for (const visitor of [ann, eve]) {
    assert.deepEqual(await visitor.conversation(TEXTS.length), expected);
    assert.deepEqual(await found(visitor.page), {
      foreign: 0,
      links: LINKS.map((href) => ({ href, target: "_blank", rel: "noopener noreferrer nofollow" })),
      members: [NAME, "ann"],
      title: `${ROOM} · Parlor`,
      heading: ROOM,
      violations: [],
    });
    assert.deepEqual(visitor.complaints, []);
  }
});

/** Counts the elements that the texts could have become. */
function found(page) {
  return page.evaluate(() => ({
    foreign: document.querySelectorAll("#chat :is(img, svg, script, iframe, i:not(#loading i), [onclick], [onmouseover])").length,
    links: [...document.querySelectorAll("#messages a")].map(({ href, target, rel }) => ({ href, target, rel })),
    members: [...document.querySelectorAll("#member-list .name")].map(({ textContent }) => textContent),
    title: document.title,
    heading: document.querySelector("#title").textContent,
    violations,
  }));
}

test("the browser refuses what no text should come to: inline scripts, HTML, other hosts", async (t) => {
  const { page } = await Visitor.open(t, browser, "ann", "tea", { init });
  const refused = await page.evaluate(async () => {
    const script = document.createElement("script");
    script.append("window.ran = true");
    document.body.append(script);
    const html = () => (document.body.innerHTML = "<b>bold</b>");
    const errors = [Promise.resolve().then(html), fetch("http://localhost:9/")];
    return (await Promise.allSettled(errors)).map(({ reason }) => reason?.name);
  });
  assert.deepEqual(refused, ["TypeError", "TypeError"]);
  await page.waitForFunction(() => violations.length >= 3);
  assert.deepEqual(await page.evaluate(() => [window.ran, document.querySelectorAll("b").length]), [undefined, 0]);
});
