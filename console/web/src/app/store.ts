// What a browser remembers for its reader. Where there is no storage, nothing is remembered and everything works.

export function remembered(name: string): string {
  try {
    return localStorage.getItem(`skald.${name}`) ?? "";
  } catch {
    return "";
  }
}

export function remember(name: string, value: string): void {
  try {
    if (value === "") localStorage.removeItem(`skald.${name}`);
    else localStorage.setItem(`skald.${name}`, value);
  } catch {
    // refused
  }
}
