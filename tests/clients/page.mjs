/** A visitor of the page at `/`, for the scripts `page_*.mjs`. */

import { join } from "node:path";
import { env } from "node:process";
import { visit } from "./browser.mjs";
import { url } from "./harness.mjs";

export const DESKTOP = { width: 1280, height: 800 };
export const PHONE = { width: 390, height: 844 };

/** A phone, as browsers describe it: touch, and no hovering pointer. */
export const TOUCH_PHONE = { viewport: PHONE, hasTouch: true, isMobile: true };

/** The requests of long-polling, with which every connection begins. */
export const POLLING = /\/socket\.io\/\?/;

/** Technical words that no person should read. */
export const TECHNICAL = /[A-Z]{3,}_|\b(userId|roomId|payload|UTF-8|xhr|socket|JSON|NUL)\b|undefined/;

/** Takes a picture, if `SCREENSHOTS` names a folder for it. */
export async function picture(page, name) {
  if (env.SCREENSHOTS) await page.screenshot({ path: join(env.SCREENSHOTS, `${name}.png`) });
}

/** A person with the page open, in a browser context of their own. */
export class Visitor {
  /** Opens the page at `base` for a room; `init` runs before its scripts. */
  static async open(t, browser, name, room, { init, base = `${url}/`, ...options } = {}) {
    const visitor = new this(name, await visit(t, browser, "about:blank", { viewport: DESKTOP, ...options }));
    if (init) await visitor.page.addInitScript(init);
    await visitor.page.goto(`${base}?${new URLSearchParams({ room })}`);
    return visitor;
  }

  /** Opens the page and enters the room. */
  static async join(t, browser, name, room, options) {
    const visitor = await this.open(t, browser, name, room, options);
    await visitor.enter();
    await visitor.page.locator("#text:enabled").waitFor();
    return visitor;
  }

  constructor(name, { page, complaints, upgraded }) {
    Object.assign(this, { name, page, complaints, upgraded });
    this.context = page.context();
    this.box = page.getByLabel("Message", { exact: true });
    this.messages = page.locator("#messages .message");
    this.outbox = page.locator("#outbox .message");
  }

  async submitForm() {
    await this.page.getByLabel("Your name").fill(this.name);
    await this.page.getByRole("button", { name: "Join" }).click();
  }

  /** Pastes into the text box, and returns its text: the page itself may not read the clipboard. */
  async paste() {
    await this.box.focus();
    await this.page.keyboard.press("Control+V");
    return this.box.inputValue();
  }

  async enter() {
    await this.submitForm();
    await this.connected();
  }

  /** Waits for a connection by a transport, or by any without a name. */
  async connected(transport = "") {
    await this.sees("#status", `Connected · ${transport}`);
  }

  /** Waits until an element contains a text. */
  async sees(selector, text) {
    const element = this.page.locator(selector);
    try {
      await element.filter({ hasText: text, visible: true }).waitFor();
    } catch (cause) {
      const [found, shown] = [await element.allTextContents(), await this.page.locator("body").innerText()];
      throw new Error(`${this.name} sees ${JSON.stringify(found)} in ${selector}, and on the page:\n${shown}`, { cause });
    }
  }

  async say(text) {
    await this.box.fill(text);
    await this.box.press("Enter");
  }

  /** Waits for a number of messages with none in flight, and returns the visible conversation as [author, text]. */
  async conversation(count) {
    await this.page.waitForFunction(
      (expected) => document.querySelectorAll("#messages .message").length >= expected && !document.querySelector("#outbox li"),
      count,
    );
    return this.messages.evaluateAll((items) =>
      items.map((item) => [item.querySelector(".by b").textContent, item.querySelector(".body").textContent]),
    );
  }

  /** Waits for a number of messages, and returns their texts. */
  async texts(count) {
    return (await this.conversation(count)).map(([, text]) => text);
  }
}
