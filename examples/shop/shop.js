/** The page of the shop: asks before it invites, shows the invitation, and reports what becomes of it. */

const element = (id) => document.getElementById(id);
const show = (id, isShown = true) => (element(id).hidden = !isShown);
const click = (id, callback) => element(id).addEventListener("click", callback);
const { service, key, actionMap, timeoutSeconds } = document.body.dataset;
const REASONS = {
  terminal_state: "This visitor has been invited before, and is not invited again.",
  already_open: "This visitor has an invitation or a chat already, perhaps in another tab.",
};

/** The state of the chat: the action of the invitation, whether an agent is there, the stream of messages. */
let [action, isEngaged, messages, before] = [null, false, null, null];

// The shop goes on if the chat does not work: whatever fails here is told below the page, and nothing else changes.
const log = await connect().catch((error) => {
  element("why").textContent = `No invitations: ${error.message}`;
  return null;
});

async function connect() {
  const { Offerlog } = await import("/offerlog.js");
  const visitor = async () => {
    const answer = await fetch("/visitor");
    if (!answer.ok) {
      throw new Error(`the shop answers ${answer.status}`);
    }
    return answer.json();
  };
  const made = new Offerlog({
    url: service,
    key,
    customerId: (await visitor()).customerId,
    sessionId: (sessionStorage.session ??= crypto.randomUUID()),
    visitorToken: async () => (await visitor()).token,
    timeoutSeconds: Number(timeoutSeconds),
  });
  for (const state of ["offered", "accepted", "rejected", "ignored", "timedout", "errored", "started", "engaged", "abandoned"]) {
    made.on("webchat", state, () => element("reported").append(item(state)));
  }
  for (const state of ["accepted", "rejected", "ignored", "timedout"]) {
    made.on("webchat", state, hideInvitation);
  }
  made.on("refused", ({ what, reason, detail }) => {
    element("why").textContent = REASONS[reason] ?? `The service refused the ${what}: ${detail ?? reason}`;
  });
  return made;
}

function item(text) {
  const made = document.createElement("li");
  made.textContent = text;
  return made;
}

/** Invite the visitor, if this view invites, nothing is open, and the service says yes. */
async function invite() {
  if (!log || action || location.pathname !== "/basket") {
    return;
  }
  const offered = await log.offer({ actionMapId: actionMap, actionMapVersion: 1, actionMapName: "Checkout help" });
  if (!offered) {
    return;
  }
  action = offered;
  element("why").textContent = "The service has recorded the offer.";
  try {
    before = document.activeElement;
    element("invitation").showPopover(); // unlike a dialog, it leaves the focus where it is
    element("asked").textContent = "May we help you with your basket?"; // now, so that a screen reader says it
  } catch (error) {
    log.invite(action);
    log.report("errored", { ...action, errorCode: "popover", errorMessage: error.message });
    return;
  }
  log.invite(action, { ignoredWhenLeft: true });
  if (location.pathname !== "/basket") {
    log.report("ignored", action); // the visitor was faster than the answer
  }
}

/** Hide the invitation; if the focus was in it, give it back to where it came from. */
function hideInvitation() {
  const invitation = element("invitation");
  const hadFocus = invitation.contains(document.activeElement);
  invitation.hidePopover();
  if (hadFocus) {
    (before?.isConnected && before !== document.body ? before : title()).focus();
  }
}

const title = () => element(location.pathname === "/basket" ? "basket-title" : "products-title");

click("accept", () => {
  log.report("accepted", action);
  show("form");
  element("question").focus();
});
click("reject", () => log.report("rejected", action));
element("invitation").addEventListener("keydown", (event) => {
  if (event.key === "Escape") {
    log.report("rejected", action);
  }
});

element("form").addEventListener("reset", () => {
  show("form", false);
  log.report("rejected", action);
  title().focus();
});
element("form").addEventListener("submit", async (event) => {
  event.preventDefault();
  const text = element("question").value;
  const answer = await post("/chats", { text }).catch(() => null);
  if (!answer?.ok) {
    element("why").textContent = "The chat could not be started; please try again.";
    return;
  }
  log.report("started", action);
  show("form", false);
  show("chat");
  say("You", text);
  say("Shop", "An agent will be with you in a moment.");
  element("message").focus();
  const { id } = await answer.json();
  messages = Object.assign(new EventSource(`/chats/${id}`), { chat: id });
  messages.addEventListener("agent", ({ data }) => {
    isEngaged = true;
    log.report("engaged", action);
    say("Shop", `${JSON.parse(data)} has joined the chat.`);
  });
  messages.addEventListener("answer", ({ data }) => say("Robin", JSON.parse(data)));
});

element("write").addEventListener("submit", (event) => {
  event.preventDefault();
  const text = element("message").value;
  say("You", text);
  element("write").reset();
  post(`/chats/${messages.chat}/messages`, { text }).catch(() => say("Shop", "The message could not be sent."));
});

/** End the chat. If no agent has come, the visitor has given it up. */
function endChat() {
  messages?.close();
  if (messages && !isEngaged) {
    log.report("abandoned", action);
  }
  messages = null;
}
click("close", () => {
  endChat();
  show("chat", false);
  title().focus();
});
addEventListener("pagehide", endChat);

click("forget", async () => {
  await fetch("/forget", { method: "POST" });
  sessionStorage.clear();
  location.assign("/basket");
});

function say(who, text) {
  const line = item(text);
  const name = document.createElement("b");
  name.textContent = `${who}: `;
  line.prepend(name);
  element("messages").append(line);
  line.scrollIntoView({ block: "nearest" });
}

const post = (address, body) =>
  fetch(address, { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(body) });

/** The router: two views of one page. */
function view(isFirst = false) {
  if (location.pathname === "/") {
    history.replaceState({}, "", "/basket");
  }
  for (const name of ["products", "basket"]) {
    const isShown = location.pathname === `/${name}`;
    show(name, isShown);
    const link = document.querySelector(`nav a[href="/${name}"]`);
    link.toggleAttribute("aria-current", isShown);
    if (isShown) {
      link.setAttribute("aria-current", "page");
    }
  }
  if (!isFirst) {
    title().focus();
  }
  invite();
}
document.querySelector("nav").addEventListener("click", (event) => {
  const link = event.target.closest("a");
  if (link && !event.ctrlKey && !event.metaKey && !event.shiftKey) {
    event.preventDefault();
    history.pushState({}, "", link.href);
    view();
  }
});
addEventListener("popstate", () => view());
view(true);
