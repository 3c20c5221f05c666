// What differs between two texts, line by line.

export interface DiffLine {
  mark: " " | "-" | "+";
  text: string;
}

/** Lines of a text that are compared at most: the work grows with the square. */
export const mostLines = 1000;

/** diff finds the longest common lines of two texts, and says what is on one side only. */
export function diff(before: string, after: string): DiffLine[] {
  const a = before.split("\n").slice(0, mostLines);
  const b = after.split("\n").slice(0, mostLines);
  // common[i][j] is the length of what a from i on and b from j on have in common.
  const common: Uint16Array[] = Array.from({ length: a.length + 1 }, () => new Uint16Array(b.length + 1));
  for (let i = a.length - 1; i >= 0; i--) {
    for (let j = b.length - 1; j >= 0; j--) {
      common[i]![j] = a[i] === b[j] ? common[i + 1]![j + 1]! + 1 : Math.max(common[i + 1]![j]!, common[i]![j + 1]!);
    }
  }
  const all: DiffLine[] = [];
  let i = 0;
  let j = 0;
  while (i < a.length || j < b.length) {
    if (i < a.length && j < b.length && a[i] === b[j]) {
      all.push({ mark: " ", text: a[i]! });
      i++;
      j++;
    } else if (j >= b.length || (i < a.length && common[i + 1]![j]! >= common[i]![j + 1]!)) {
      all.push({ mark: "-", text: a[i++]! });
    } else {
      all.push({ mark: "+", text: b[j++]! });
    }
  }
  return all;
}
