/** Functions of the scripts about the page's looks. */

import assert from "node:assert/strict";
import axe from "axe-core";

/** Fails on barriers for users of the page: https://github.com/dequelabs/axe-core/blob/develop/doc/API.md */
export async function assertUsable(page) {
  await page.evaluate(axe.source);
  const { violations } = await page.evaluate(() => window.axe.run());
  const serious = violations.filter(({ impact }) => ["serious", "critical"].includes(impact));
  assert.deepEqual(serious.map(({ id, nodes }) => [id, nodes.map(({ html, failureSummary }) => [html, failureSummary])]), []);
}

/** Returns a time zone in which it is about ten in the morning, so that nothing of yesterday can count as today. */
export function morning() {
  const ahead = Math.max(10 - new Date().getUTCHours(), -12);
  return `Etc/GMT${ahead > 0 ? "-" : "+"}${Math.abs(ahead)}`;
}
