/** Words for people in place of the codes of the service. */

/** Return the name of a state, or of a kind of events, as people read it. */
export const nameOf = (state) => NAMES[state] ?? state;

const NAMES = { timedout: "timed out", "offer-refused": "offer refused", "signal-parked": "signal waits" };

/** Name the states in a sentence of the service as people read them; texts from outside stay as they are. */
export const nameStates = (text) => text.replace(/^timedout\b|\btimedout(?= since )/g, "timed out");

/** Why an offer was blocked. */
export const BLOCKED = {
  terminal_state: "An earlier offer was taken or turned down",
  already_open: "Another invitation was still open",
};

/** Why a signal was refused. */
export const REFUSED = {
  ...BLOCKED,
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
