// What is counted of definitions: how many sagas are under way now, and how steps went lately.
import { Problem } from "../api/http";
import type { ActivityReport, Statistics, StepActivity } from "../api/schema";
import { getActivity } from "../api/skald";
import { duration } from "../app/words";

/** underWay counts the sagas of a definition without an outcome, of one version if it is given. */
export function underWay(statistics: Statistics | undefined, name: string, version?: string, state?: string): number {
  return (statistics?.states ?? [])
    .filter((s) => s.definition === name && (version === undefined || s.version === version) && (state === undefined || s.state === state))
    .reduce((sum, s) => sum + s.sagas, 0);
}

/** activity is what was done lately, without a report where nobody counts, which is no fault. */
export async function activity(definition: string | undefined, signal: AbortSignal): Promise<{ report: ActivityReport | undefined }> {
  try {
    return { report: await getActivity(definition, signal) };
  } catch (error) {
    if (error instanceof Problem && error.status === 404) return { report: undefined };
    throw error;
  }
}

/** failures is the share of asked steps that did not come to a result. */
export const failures = (s: StepActivity): number => (s.asked === 0 ? 0 : Math.min(1, (s.refused + s.failed) / s.asked));

export const percent = (share: number): string => (share === 0 ? "0 %" : share < 0.001 ? "< 0.1 %" : `${(100 * share).toFixed(share < 0.1 ? 1 : 0)} %`);

/** seconds writes a quantile; without one, a dash. */
export const seconds = (s: number | undefined): string => (s === undefined ? "–" : duration(1000 * s));
