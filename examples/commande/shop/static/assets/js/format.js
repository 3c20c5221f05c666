// Money, time and counts in words. Pure functions.

const euros = new Intl.NumberFormat("fr-FR", { style: "currency", currency: "EUR" }); // as the receipts say it
const clock = new Intl.DateTimeFormat("en-GB", { hour: "2-digit", minute: "2-digit", second: "2-digit", fractionalSecondDigits: 3 });
const minute = new Intl.DateTimeFormat("en-GB", { hour: "2-digit", minute: "2-digit" });
const day = new Intl.DateTimeFormat("en-GB", { day: "numeric", month: "short", hour: "2-digit", minute: "2-digit" });

/** Integer cents as euros: 1290 is 12,90 €. */
export function money(cents) {
  return euros.format(cents / 100);
}

/** The time of day of an RFC 3339 instant, to the millisecond; empty if it is not one. */
export function timeOfDay(instant) {
  const when = new Date(instant);
  return Number.isNaN(when.getTime()) ? "" : clock.format(when);
}

/** Day and minute of an RFC 3339 instant or of milliseconds since 1970. */
export function dayAndTime(instant) {
  const when = new Date(instant);
  return Number.isNaN(when.getTime()) ? "" : day.format(when);
}

/** The minute of the day, such as "22:12". */
export const minuteOfDay = (instant) => minute.format(new Date(instant));

/** Milliseconds as "38 ms", "4.2 s" or "3 min". */
export function duration(ms) {
  if (ms < 1000) return `${Math.round(ms)} ms`;
  return ms < 120000 ? `${(ms / 1000).toFixed(1)} s` : `${Math.round(ms / 60000)} min`;
}

/** "1 article", "3 articles". */
export function count(n, one, many = `${one}s`) {
  return `${n} ${n === 1 ? one : many}`;
}

/** The start of an id, enough to recognise an order by. */
export function shortId(id) {
  return id.length > 13 ? id.slice(-8) : id;
}

/** "OutOfStock" or "out_of_stock" as "out of stock". */
export function spaced(code) {
  return code.replace(/([a-z0-9])([A-Z])/g, "$1 $2").replace(/[_-]+/g, " ").toLowerCase();
}
