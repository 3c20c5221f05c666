// Where the receipts go, in the footer: to the mailbox of this machine, unless the program was told otherwise.
import { say } from "./dom.js";
import * as api from "./api.js";

/** Ends the footer's sentence; `smtp` is another mail server's address, if there is one. */
export const sayMail = (node, smtp) => say(node, smtp ? `. Receipts are sent through ${smtp}.` : " and no mail leaves this machine.");

/** Asks, and then says it. Without an answer it says nothing about mail. */
export async function mailNote(node) {
  const system = await api.system().catch(() => null);
  if (system) sayMail(node, system.smtp);
}
