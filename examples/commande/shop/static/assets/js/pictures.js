// Which drawing goes with which product: by words of its code, name or description; anything unknown gets the parcel.

const drawings = [
  ["teapot", /tea ?pot|kettle|th[eé]i[eè]re|bouilloire/],
  ["coffee", /coffee|caf[eé]/],
  ["tea", /\btea\b|th[eé]\b|infusion/],
  ["mug", /mug|cup|tasse|bol\b|horn|corne|beaker|gobelet/],
  ["notebook", /notebook|carnet|journal|book|livre|cahier|saga|edda/],
  ["pen", /pen\b|stylo|plume|quill|pencil|crayon|ink|encre/],
  ["lamp", /lamp|lantern|lampe|lanterne/],
  ["candle", /candle|bougie/],
  ["blanket", /blanket|throw|plaid|couverture|wool|laine|scarf|[eé]charpe|sweater/],
  ["bag", /bag|\bsac\b|rucksack|backpack|satchel|tote/],
  ["chair", /chair|stool|chaise|tabouret|fauteuil|bench/],
  ["axe", /axe|hache|knife|couteau|tool/],
  ["ship", /ship|boat|drakkar|bateau|model/],
  ["lyre", /lyre|harp|harpe|flute|guitar|drum/],
  ["drone", /drone|quad/],
];

/** The address of a product's drawing. */
export function pictureOf({ sku, name, description = "" }) {
  for (const text of [sku, name, description].map((word) => word.toLowerCase())) {
    const found = drawings.find(([, words]) => words.test(text));
    if (found) return `/shop/assets/img/${found[0]}.svg`;
  }
  return "/shop/assets/img/parcel.svg";
}
