/** The question before an act that cannot be undone. */

import { page } from "./admin-page.js";
import { showWords } from "./text.js";
import { refusedAct } from "./words.js";

/**
 * @typedef {object} Act
 * @property {string} title the question
 * @property {string} text the consequences
 * @property {string} label of the button
 * @property {() => Promise<unknown>} act
 * @property {string} done the report of the success
 */

/** The act in question. @type {Act | null} */
let asked = null;

/** Asks, and acts when confirmed. Resolves with true when it is done. @param {Act} act @returns {Promise<boolean>} */
export function confirmed(act) {
  asked = act;
  page.confirmTitle.textContent = act.title;
  page.confirmText.textContent = act.text;
  page.confirmAct.textContent = act.label;
  page.confirmAct.disabled = false;
  showWords(page.confirmTrouble, null);
  page.confirm.returnValue = "";
  page.confirm.showModal();
  page.confirmCancel.focus();
  return new Promise((resolve) => {
    page.confirm.addEventListener("close", () => resolve(page.confirm.returnValue === "done"), { once: true });
  });
}

page.confirmCancel.addEventListener("click", () => page.confirm.close());

page.confirmAct.addEventListener("click", async () => {
  const act = asked;
  if (!act) return;
  page.confirmAct.disabled = true;
  showWords(page.confirmTrouble, null);
  try {
    await act.act();
    page.done.textContent = act.done;
    if (asked === act) page.confirm.close("done");
  } catch (refused) {
    if (asked === act) showWords(page.confirmTrouble, refusedAct(/** @type {any} */ (refused)));
  }
  if (asked === act) page.confirmAct.disabled = false;
});

page.confirm.addEventListener("close", () => (asked = null));
