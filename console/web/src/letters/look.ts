import type { Letter } from "../api/schema";
import type { Look } from "../app/words";

const looks: Record<Letter["state"], Look> = {
  waiting: { word: "Waiting", icon: "pause", tone: "bad" },
  replayed: { word: "Replayed", icon: "retrying", tone: "good" },
  remedied: { word: "Remedied", icon: "done", tone: "good" },
  discarded: { word: "Discarded", icon: "close", tone: "gone" },
};
export const letterLook = (state: Letter["state"]): Look => looks[state];

const remedies: Record<string, string> = { compensate: "its saga turns back by itself", replay: "it is replayed by itself", go_on: "its saga goes on without it, by itself" };

/** What becomes of a letter that waits, if nobody does anything. */
export const fate = (letter: Letter): string => (letter.remedy ? (remedies[letter.remedy] ?? letter.remedy) : "a person has to decide");

/** What was published, whatever it is. */
export function payload(letter: Letter): unknown {
  const m = letter.message;
  return m?.data ?? m?.data_text ?? m?.data_base64;
}
