/** The zone of the pages' clocks, which a browser keeps from one page to the next. */

import { create, find } from "/static/elements.js";
import { ownZone } from "/static/dates.js";

const ZONE = "offerlog/zone";

/** Return the zone that was last used in this browser; the browser's own at first. */
export const preferredZone = () => localStorage.getItem(ZONE) ?? ownZone();
export const keepZone = (zone) => localStorage.setItem(ZONE, zone);

/** Offer all zones to choose from. */
export const listZones = () =>
  find("#zones").append(...Intl.supportedValuesOf("timeZone").map((zone) => create("option", "", { value: zone })));
