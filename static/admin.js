/**
 * The page for administrators: signing in, and the view that is read every two seconds.
 *
 * @import { Refused } from "./admin-api.js"
 */

import { Api, keepKey, keptKey } from "./admin-api.js";
import { Detail } from "./admin-detail.js";
import { showOverview } from "./admin-overview.js";
import { page } from "./admin-page.js";
import { Poll } from "./admin-poll.js";
import { addressOf } from "./admin-show.js";
import { showWords } from "./text.js";
import { refusedAct } from "./words.js";

const timeFormat = new Intl.DateTimeFormat([], { timeStyle: "medium" });

/** Opens the view, if the key is good. @param {string} key */
async function open(key) {
  const api = new Api(key);
  page.open.disabled = true;
  showWords(page.refusal, null);
  try {
    const overview = await api.overview();
    keepKey(key);
    page.key.value = "";
    page.signIn.hidden = true;
    page.admin.hidden = false;
    showOverview(overview);
    watch(api);
  } catch (refused) {
    const { isFinal } = /** @type {Refused} */ (refused);
    if (isFinal) keepKey("");
    else page.key.value = key;
    showWords(page.refusal, refusedAct(/** @type {Refused} */ (refused)));
    page.key.focus();
  }
  page.open.disabled = false;
}

/** Keeps the view up to date. @param {Api} api */
function watch(api) {
  let answeredAt = new Date();
  const poll = new Poll(async () => {
    try {
      const [overview] = await Promise.all([api.overview(), detail.refresh()]);
      answeredAt = new Date();
      showOverview(overview);
      showAnswered(answeredAt);
      return null;
    } catch (error) {
      const refused = /** @type {Refused} */ (error);
      if (refused.status === 401) leave(refused);
      showUnanswered(refused, answeredAt);
      return refused.waitMs ?? 0;
    }
  });
  const detail = new Detail(api, () => poll.now());
  const follow = () => {
    detail.follow();
    poll.now();
  };
  window.addEventListener("hashchange", follow);
  showAnswered(answeredAt);
  follow();
}

/** @param {Date} at */
function showAnswered(at) {
  page.admin.classList.remove("stale");
  page.status.dataset.state = "answered";
  page.status.textContent = `Live · ${timeFormat.format(at)}`;
  showWords(page.trouble, null);
}

/** Keeps the last figures, greyed. @param {Refused} refused @param {Date} answeredAt */
function showUnanswered(refused, answeredAt) {
  page.admin.classList.add("stale");
  page.status.dataset.state = "silent";
  page.status.textContent = `As of ${timeFormat.format(answeredAt)}`;
  const words = refusedAct(refused);
  showWords(page.trouble, { ...words, text: `${words.text} Trying again. The figures are those of ${timeFormat.format(answeredAt)}.` });
}

/** Forgets the key. The page loads anew, so nothing is left of the view. @param {Refused} [refused] */
function leave(refused) {
  keepKey("");
  history.replaceState({ refusal: refused && refusedAct(refused) }, "", refused ? location.href : location.pathname);
  location.reload();
}

page.keyForm.addEventListener("submit", (event) => {
  event.preventDefault();
  const key = page.key.value.trim();
  if (key) open(key);
});

page.findForm.addEventListener("submit", (event) => {
  event.preventDefault();
  const kind = event.submitter?.getAttribute("value") === "user" ? "user" : "room";
  const name = page.find.value.trim();
  if (!name) return;
  page.find.value = "";
  location.hash = addressOf(kind, name);
});

page.signOut.addEventListener("click", () => leave());

const { refusal } = history.state ?? {};
history.replaceState(null, "");
if (keptKey()) open(keptKey());
else {
  if (refusal) showWords(page.refusal, refusal);
  page.key.focus();
}
