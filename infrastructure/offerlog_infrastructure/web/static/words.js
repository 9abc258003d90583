/** Words for people in place of the codes of the service. */

/** Return the name of a state, or of a kind of events, as people read it. */
export const nameOf = (state) => NAMES[state] ?? state;

const NAMES = { timedout: "timed out", "offer-refused": "offer refused", "signal-parked": "signal waits" };

/** Name the states in a sentence of the service as people read them; texts from outside stay as they are. */
export const nameStates = (text) => text.replace(/^timedout\b|\btimedout(?= since )/g, "timed out");

/** The media types of offers. */
export const MEDIA_TYPES = { webchat: "web chat", webMessagingOffer: "web messaging", contentOffer: "content" };

/** Why the offer rule refused an offer. */
const BY_OFFER_RULE = {
  terminal_state: "An earlier offer was taken or turned down",
  already_open: "Another invitation was still open",
};

/** Why an offer was blocked. */
export const BLOCKED = {
  ...BY_OFFER_RULE,
  // the vendor's reasons; one that it adds is shown as it is
  Unknown: "The vendor gave no reason",
  PageUrlConditionsNotMatching: "The page was another one than the map is for",
  ServiceLevelThrottling: "The service level was too low",
  AlreadyExistingOffer: "The vendor had an offer open already",
  TriggerDateInFuture: "It was too early for the map",
  MultipleSimultaneousOffers: "Several maps wanted to offer at once",
  NoAvailableAgents: "No agent was free",
  FrequencyCapping: "The visitor had seen it often enough",
  OfferedOutsideSchedule: "It was outside the opening hours",
};

/** Why a signal was refused. */
export const REFUSED = {
  ...BY_OFFER_RULE,
  malformed: "It cannot be read, or a field is missing or wrong",
  not_tracked: "A state or a kind of offer that is not tracked",
  from_the_future: "Its time is ahead of the service's clock",
  too_old: "Its time is too long ago",
  conflicting_duplicate: "Its event id is known with other content",
  offer_refused: "The offer of its action was refused before",
  action_over: "Its action is over, or a newer one has begun",
  not_legal: "Its state cannot follow that of its action",
  crowded: "Too many signals of this visitor and action map wait",
  never_reachable: "The steps before it never came",
};
