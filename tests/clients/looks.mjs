/** What the scripts on the page's looks share. */

import assert from "node:assert/strict";
import axe from "axe-core";

/** Fails on what keeps somebody from using the page: https://github.com/dequelabs/axe-core/blob/develop/doc/API.md */
export async function assertUsable(page) {
  await page.evaluate(axe.source);
  const { violations } = await page.evaluate(() => window.axe.run());
  const serious = violations.filter(({ impact }) => ["serious", "critical"].includes(impact));
  assert.deepEqual(serious.map(({ id, nodes }) => [id, nodes.map(({ html, failureSummary }) => [html, failureSummary])]), []);
}

/** A time zone in which it is about ten in the morning: nothing of yesterday is called today then, at no hour. */
export function morning() {
  const ahead = Math.max(10 - new Date().getUTCHours(), -12);
  return `Etc/GMT${ahead > 0 ? "-" : "+"}${Math.abs(ahead)}`;
}
