// What the page knows about deliveries: titles, words for stages, states and reasons, and what to try. Pure data.
import { spaced } from "../../shop/assets/js/format.js";

/** The steps of the saga `delivery`, by the place they have in the drawing. */
export const steps = [
  { name: "package.upsert", title: "Package", does: "recorded", undo: "withdrawn", place: "leg-1" },
  { name: "drone.assign", title: "Drone", does: "assigned", undo: "freed", place: "leg-2" },
  { name: "delivery.start", title: "Delivery", does: "goods checked", undo: "withdrawn", place: "join" },
  { name: "delivery.ship", title: "Shipped", does: "left the pickup point", pivot: true, place: "gate" },
  { name: "delivery.complete", title: "Delivered", does: "at the drop-off", place: "there" },
  { name: "drone.release", title: "Drone free", does: "where it landed", place: "tail-1" },
  { name: "delivery.notify", title: "Told", does: "those concerned", place: "tail-2" },
];

const operationTitles = {
  "package.upsert": "Record package",
  "package.withdraw": "Withdraw package",
  "drone.assign": "Assign drone",
  "drone.free": "Free drone",
  "drone.release": "Release drone",
  "delivery.start": "Start delivery",
  "delivery.withdraw": "Withdraw delivery",
  "delivery.ship": "Ship",
  "delivery.complete": "Complete delivery",
  "delivery.notify": "Notify",
};
const order = Object.keys(operationTitles);

/** The title of an operation; an unknown one is spelled out. */
export const titleOf = (operation) => operationTitles[operation] ?? spaced(operation.replace(".", " "));

/** Operations that undo another one. */
export const isUndo = (operation) => ["package.withdraw", "drone.free", "delivery.withdraw"].includes(operation);

/** Where an operation stands in the saga; what is unknown at the end. */
export const placeInSaga = (operation) => (order.includes(operation) ? order.indexOf(operation) : Infinity);

export const serviceWords = { package: "Packages", drone: "Drone scheduler", delivery: "Deliveries" };

/** In what languages the services are written, in a sentence or two. */
export function servicesInWords(services) {
  const behind = services.filter(({ level }) => level === "L1");
  if (behind.length === 0) return `All services are written in ${services[0]?.language ?? "Go"}.`;
  const others = services.find(({ level }) => level !== "L1")?.language ?? "Go";
  const said = `${behind.map(({ name, language }) => `the ${name} service is written in ${language}, behind a sidecar`).join(", ")}; all others are in ${others}.`;
  return said[0].toUpperCase() + said.slice(1);
}

export const stageWords = {
  Created: "Created",
  Rescheduled: "Rescheduled",
  HeadedToPickup: "On the way to the pickup",
  HeadedToDropoff: "On the way to the drop-off",
  Completed: "Delivered",
  Cancelled: "Cancelled",
};

export const stateWords = {
  waiting: "Waiting",
  running: "Under way",
  retrying: "Trying again",
  done: "Done",
  refused: "Refused",
  failed: "Failed",
  skipped: "Not reached",
  undoing: "Undoing",
  undone: "Undone",
  left: "Left as it is",
  incident: "Needs help",
};

export const droneWords = { idle: "idle", assigned: "assigned", to_pickup: "to pickup", to_dropoff: "to drop-off" };

const reasonWords = {
  "PackageFail.TooHeavy": "The package weighs more than its size may.",
  "PackageFail.UnknownSize": "There is no such size.",
  "PackageFail.Weight": "The package weighs nothing, or less.",
  "PackageFail.Cancelled": "The delivery was cancelled before its package was known.",
  "DroneFail.NoneAvailable": "No drone that could do it was free.",
  "DroneFail.OutOfRange": "The pickup is too far from every depot, or the way too long for every battery.",
  "DroneFail.Location": "A location is not “lat,lon” in degrees.",
  "DroneFail.TooHeavy": "No drone of the fleet can carry it.",
  "DroneFail.Cancelled": "The delivery was cancelled before it had a drone.",
  "DeliveryFail.DeadlineImpossible": "The drone cannot be there before the deadline.",
  "DeliveryFail.PickupTime": "The pickup time is too far ahead.",
  "DeliveryFail.AddressRefused": "An address is out of bounds, or where nobody may fly.",
  "DeliveryFail.Goods": "The drone cannot carry the package.",
  "DeliveryFail.OutOfRange": "The drone’s battery is not enough for the way.",
  "DeliveryFail.Cancelled": "It was cancelled before the drone left the pickup point.",
  "DeliveryFail.Shipped": "The drone has left the pickup point: too late.",
  "DeliveryFail.Ended": "The delivery has ended.",
  "DeliveryFail.Doubled": "There is a delivery of this id already.",
  Switched: "A failure switch made it refuse.",
  "skald.retries_exhausted": "It was tried as often as allowed, without a clear answer.",
  "skald.retries-exhausted": "It was handed out as often as allowed.",
  "skald.expired": "It was too late when somebody could look at it.",
  "skald.unreadable": "It cannot be read.",
  "skald.unknown_result": "Whether it took effect is not known.",
  "skald.no_progress": "Nothing has moved for a while.",
  "skald.deadline": "It took too long.",
  "skald.cancelled": "It was cancelled on request.",
  "skald.abandoned": "No longer asked: the delivery is being undone.",
  "skald.definition_missing": "A service does not know this version of the saga.",
  "skald.malformed": "The service could not read the request.",
  "skald.conflict": "The service was asked the same thing with other content before.",
  "skald.contradiction": "The service answered twice, and the answers contradict each other.",
  "skald.compensated": "It was undone before it was done.",
};

/** A reason code as a sentence; an unknown code is spelled out. */
export function reasonInWords(code) {
  if (!code) return "";
  const last = code.slice(code.lastIndexOf(".") + 1);
  for (const key of [code, last]) {
    if (Object.hasOwn(reasonWords, key)) return reasonWords[key];
  }
  const words = spaced(last);
  return `${words.charAt(0).toUpperCase()}${words.slice(1)}.`;
}

/** A text as a sentence: with a capital and a full stop. */
export function asSentence(text) {
  if (!text) return "";
  return `${text.charAt(0).toUpperCase()}${text.slice(1)}${/[.!?…]$/.test(text) ? "" : "."}`;
}

/** The sizes of packages, and what each may weigh; the last one does not exist. */
export const sizes = { Small: "at most 2.5", Medium: "at most 5", Large: "at most 10", Enormous: "" };

/** Times that can be chosen: seconds from now, in the clock's own time. */
export const pickupTimes = [["", "Now"], ["20", "In 20 seconds"], ["30", "In half a minute"], ["600", "In 10 minutes"]];
export const deadlines = [["", "None"], ["1", "In 1 second"], ["60", "In a minute"], ["300", "In 5 minutes"]];

/** What to try: `change` is what differs from an ordinary request; `times` sends it as often. */
export const presets = [
  { id: "ordinary", title: "An ordinary parcel", change: {} },
  { id: "too-heavy", title: "Too heavy for its size", change: { size: "Small", weight: "9" } },
  { id: "unknown-size", title: "A size that does not exist", change: { size: "Enormous" } },
  { id: "out-of-range", title: "Pickup out of range", change: { pickup: "55.6050,12.4600" } },
  { id: "deadline", title: "Impossible deadline", change: { deadline: "1" } },
  { id: "no-fly", title: "Drop-off where nobody may fly", change: { dropoff: "55.6180,12.6500" } },
  { id: "no-location", title: "Not a location", change: { dropoff: "behind the opera" } },
  { id: "rush", title: "More parcels than drones", change: {}, times: 14 },
];

/** What can be set on a failure switch. `extra` names the number that goes with it. */
export const switchModes = [
  { mode: "off", title: "Works normally" },
  { mode: "refuse", title: "Refuses" },
  { mode: "slow", title: "Is slow", extra: "delay_ms" },
  { mode: "down", title: "Is down" },
  { mode: "error500", title: "Answers 500", extra: "count" },
  { mode: "drop", title: "Drops the answer after the effect", extra: "count" },
];
