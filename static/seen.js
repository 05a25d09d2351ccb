/** The line below the last message that says who has read it. */

/** @import { Room } from "./parlor-client.js" */

import { page } from "./page.js";
import { isolated } from "./text.js";

/** More readers are counted. */
const MOST_NAMED = 5;

/** @param {Room} room */
export function showSeen({ messages, reads, userId }) {
  const last = messages.at(-1);
  const readers = [...reads].filter(([reader, seq]) => last && seq >= last.seq && reader !== last.userId && reader !== userId);
  const names = readers.map(([reader]) => reader).sort((a, b) => a.localeCompare(b));
  const more = names.length - MOST_NAMED;
  const line = names.slice(0, MOST_NAMED).flatMap((name, place) => [place > 0 ? ", " : "Seen by ", isolated(name)]);
  page.seen.replaceChildren(...line, more > 0 ? ` and ${more} more` : "");
}
