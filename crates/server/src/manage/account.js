// How somebody logs in: their passkeys, and whether there is a password.
import { ask, element, hasPasskeys, logIn, makePasskey } from "/server.js";

const [login, ways, passkeys, add, name, without, fault] = ["login", "ways", "passkeys", "add", "name", "without", "fault"].map(element);
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
  const [known, listed] = [await ask("GET", "/v1/whoami"), await ask("GET", "/v1/account/passkeys?limit=50")];
  if (!known.ok || !listed.ok) {
    show(login);
    say("Log in first", "Then you see and change how.");
    return;
  }
  const { email, has_password } = known.answer.account;
  passkeys.replaceChildren(...listed.answer.items.map(row));
  show(ways);
  const also = has_password ? "a password" : "no password";
  say(email, listed.answer.items.length ? `These passkeys let you in, and ${also}.` : `No passkey yet: ${also} lets you in.`);
  add.hidden = !hasPasskeys();
  without.hidden = !has_password || listed.answer.items.length === 0;
};

/** A passkey as a line of the list. */
const row = ({ id, name, used_at }) => {
  const line = document.createElement("li");
  const used = used_at ? `used ${used_at.slice(0, 10)}` : "not used yet";
  const remove = document.createElement("button");
  remove.type = "button";
  remove.textContent = "Remove";
  remove.setAttribute("aria-label", `Remove ${name}`);
  remove.addEventListener("click", () => change(ask("DELETE", `/v1/account/passkeys/${id}`)));
  line.append(`${name}, ${used} `, remove);
  return line;
};

/** Whoever did not prove just now who they are does so first. */
const change = async (asked) => {
  const { ok, answer } = await asked;
  if (ok) return begin();
  if (answer.code !== "step_up_required") return complain(answer.detail);
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
logIn({ entered: begin, complain });

begin();
