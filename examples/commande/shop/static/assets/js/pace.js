// A saga takes milliseconds, an eye does not: this shows what happened one step at a time, in order, a little later.

const gap = 200; // milliseconds between two changes that can be seen
const longestLag = 3500; // milliseconds: a long history is shown faster, so that the picture is never further behind

/**
 * A queue of things to show. `push(key, run)` runs at once or after its predecessors; a change of key is worth a pause.
 * Nothing waits in a page that is not in view, nor for a person who asked for less motion. `onLag(late)` tells whether
 * the picture is behind.
 */
export function pacer(onLag) {
  const still = matchMedia("(prefers-reduced-motion: reduce)");
  const queue = [];
  let timer = 0;
  let shownKey = null;
  let shownAt = 0;

  function push(key, run) {
    queue.push({ key, run });
    if (timer === 0) drain();
  }

  function drain() {
    timer = 0;
    while (queue.length > 0) {
      const wait = pause(queue[0].key);
      if (wait > 0) {
        onLag(true);
        timer = setTimeout(drain, wait);
        return;
      }
      const { key, run } = queue.shift();
      if (key !== shownKey) shownAt = performance.now();
      shownKey = key;
      run();
    }
    onLag(false);
  }

  function pause(key) {
    if (key === shownKey || shownKey === null || still.matches || document.hidden) return 0;
    const changes = new Set(queue.map((item) => item.key)).size;
    return Math.min(gap, longestLag / changes) - (performance.now() - shownAt);
  }

  function stop() {
    clearTimeout(timer);
    queue.length = 0;
  }

  return { push, stop };
}
