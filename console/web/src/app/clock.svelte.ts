// One clock for all that shows how long something has taken, so that they tick together.

let now = $state(Date.now());
let watchers = 0;
let timer: ReturnType<typeof setInterval> | undefined;

/** clock.now is the time in milliseconds, and changes every second while somebody looks. Call it inside a component or an effect. */
export const clock = {
  get now() {
    return now;
  },
};

/** tick keeps the clock going while a component is there: use it as an effect. */
export function tick(): () => void {
  if (watchers++ === 0) {
    now = Date.now();
    timer = setInterval(() => (now = Date.now()), 1000);
  }
  return () => {
    if (--watchers === 0) clearInterval(timer);
  };
}
