// Who asks, as the API knows them. Where it asks nobody, this stays quiet.
import { Problem, remove, whenUnauthenticated } from "../api/http";
import type { Session } from "../api/schema";
import { getSession, openSession } from "../api/skald";

let isWanted = $state(false);
let rounds = $state(0);
let who = $state.raw<Session>();
whenUnauthenticated(() => {
  isWanted = true;
  who = undefined;
});

const ranks: Session["role"][] = ["none", "reader", "operator", "admin"];

export const session = {
  /** wanted says that the API asked who this is. */
  get wanted() {
    return isWanted;
  },
  /** rounds changes when somebody has signed in or out, and pages begin anew. */
  get rounds() {
    return rounds;
  },
  /** who is the one that the API has identified; undefined where it asks nobody, and until it has said so. */
  get who() {
    return who?.guarded ? who : undefined;
  },
  /** canEnd says that there is a session of this browser to sign out of. */
  get canEnd() {
    return who?.guarded === true && who.sessions;
  },
  /** may says whether a role is had. Where nobody is asked who they are, everybody may do everything. */
  may(role: Session["role"]): boolean {
    return who === undefined || !who.guarded || ranks.indexOf(who.role) >= ranks.indexOf(role);
  },
  /** ask asks the API who this is. That it does not say is no fault of a page: each asks for itself, and says what is in the way. */
  async ask(): Promise<void> {
    try {
      who = await getSession();
    } catch (error) {
      if (!(error instanceof Problem)) throw error;
    }
  },
  /** signIn hands the key in for a session cookie, which scripts cannot read. The key itself is kept nowhere. */
  async signIn(credential: string): Promise<void> {
    who = await openSession(credential);
    isWanted = false;
    rounds++;
  },
  /** signOut ends the session at the server, too: whoever kept the cookie has nothing. */
  async signOut(): Promise<void> {
    await remove("/v1/session");
    who = undefined;
    isWanted = true;
    rounds++;
  },
};
