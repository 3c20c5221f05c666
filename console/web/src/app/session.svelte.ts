// Whether the API knows who asks. Where it does not care, this stays quiet.
import { post, whenUnauthenticated } from "../api/http";

let isWanted = $state(false);
let rounds = $state(0);
whenUnauthenticated(() => (isWanted = true));

export const session = {
  /** wanted says that the API asked who this is. */
  get wanted() {
    return isWanted;
  },
  /** rounds changes when somebody has signed in, and pages begin anew. */
  get rounds() {
    return rounds;
  },
  /** signIn hands the key in for a session cookie, which scripts cannot read. The key itself is kept nowhere. */
  async signIn(credential: string): Promise<void> {
    await post("/v1/session", { credential });
    isWanted = false;
    rounds++;
  },
};
