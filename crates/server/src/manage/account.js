// How somebody logs in: their passkeys, and whether there is a password.
import { ask, cameBack, element, goToProvider, hasPasskeys, logIn, makePasskey, wantsProof } from "/server.js";

const [login, ways, passkeys, add, name, elsewhere, identities, connect, without, fault] = ["login", "ways", "passkeys", "add", "name", "elsewhere", "identities", "connect", "without", "fault"].map(element);
const say = (title, text) => {
  element("state").textContent = title;
  element("about").textContent = text;
  fault.hidden = true;
};
const complain = (text) => {
  fault.textContent = text;
  fault.hidden = false;
};
const show = (part) => {
  for (const other of [login, ways]) other.hidden = other !== part;
};

const begin = async () => {
  const asked = ["/v1/whoami", "/v1/account/passkeys?limit=50", "/v1/account/identities?limit=50", "/v1/login/ways"];
  const [known, listed, connected, offered] = await Promise.all(asked.map((path) => ask("GET", path)));
  if (![known, listed, connected, offered].every(({ ok }) => ok)) {
    show(login);
    if (location.hash === "#joined") say("You are in", "Log in, and see how.");
    else say("Log in first", "Then you see and change how.");
    return;
  }
  const { email, has_password } = known.answer.account;
  passkeys.replaceChildren(...listed.answer.items.map(row));
  identities.replaceChildren(...connected.answer.items.map(identity));
  elsewhere.hidden = !offered.answer.provider && connected.answer.items.length === 0;
  connect.hidden = !offered.answer.provider;
  connect.textContent = `Connect with ${offered.answer.provider}`;
  show(ways);
  const also = has_password ? "a password" : "no password";
  say(email, listed.answer.items.length ? `These passkeys let you in, and ${also}.` : `No passkey yet.`);
  add.hidden = !offered.answer.passkeys || !hasPasskeys();
  without.hidden = !has_password || listed.answer.items.length + connected.answer.items.length === 0;
};

/** A way in as a line of a list, with a button that takes it away. */
const line = (name, used_at, path) => {
  const item = document.createElement("li");
  const used = used_at ? `used ${used_at.slice(0, 10)}` : "not used yet";
  const remove = document.createElement("button");
  remove.type = "button";
  remove.textContent = "Remove";
  remove.setAttribute("aria-label", `Remove ${name}`);
  remove.addEventListener("click", () => change(ask("DELETE", path)));
  item.append(`${name}, ${used} `, remove);
  return item;
};
const row = ({ id, name, used_at }) => line(name, used_at, `/v1/account/passkeys/${id}`);
const identity = ({ id, issuer, subject, used_at }) => line(`${subject} at ${new URL(issuer).host}`, used_at, `/v1/account/identities/${id}`);

/** Whoever did not prove just now who they are does so first. */
const change = async (asked) => {
  const { ok, answer } = await asked;
  if (ok) return begin();
  if (answer.code !== "step_up_required") return complain(answer.detail);
  wantsProof(true);
  show(login);
  say("Log in once more", "To change how you log in, prove first who you are.");
};

const made = async () => {
  const { ok, answer } = await makePasskey();
  if (!ok) return { ok, answer };
  const added = await ask("POST", "/v1/account/passkeys", { name: name.value.trim(), ...answer });
  if (added.ok) name.value = "";
  return added;
};

add.addEventListener("submit", (event) => {
  event.preventDefault();
  change(made());
});
element("give-up").addEventListener("click", () => change(ask("DELETE", "/v1/account/password")));
connect.addEventListener("click", () => change(goToProvider("/v1/account/identities/begin", {})));
logIn({ entered: begin, complain });

const said = cameBack();
begin().then(() => said && complain(said));
