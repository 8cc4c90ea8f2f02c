// Accepts an invitation: what stands behind the # of the address is sent to see what it is, and with the form.
import { ask as request, element, goToProvider } from "/server.js";

const say = (title, text) => {
  element("state").textContent = title;
  element("about").textContent = text;
};
const ask = (path, body) => request("POST", path, body);
const token = location.hash.slice(1);
const [form, email, name, password, fault, send, next, provider, asYourself] = ["form", "email", "name", "password", "fault", "send", "next", "provider", "as-yourself"].map(element);

const begin = async () => {
  if (!token) return say("The link is not whole", "The part behind the # is missing. Copy all of the link.");
  const looked = await ask("/v1/invitations/look", { token });
  if (!looked.ok) return say("There is no invitation here", looked.answer.detail);
  const { organization_name, role, email: invited } = looked.answer;
  say(organization_name, `You will be ${role} there.`);
  if (invited) {
    email.value = invited;
    email.readOnly = true;
  }
  const { ok, answer } = await request("GET", "/v1/login/ways");
  provider.hidden = !ok || !answer.provider;
  provider.textContent = `Join with ${answer.provider}`;
  const me = await request("GET", "/v1/whoami");
  asYourself.hidden = !me.ok;
  asYourself.textContent = `Join as ${me.answer.account?.email}`;
  form.hidden = false;
  (invited ? name : email).focus();
};

element("show").addEventListener("change", (event) => {
  password.type = event.target.checked ? "text" : "password";
});

asYourself.addEventListener("click", async () => {
  const joined = await ask("/v1/account/join", { token });
  if (joined.ok) {
    history.replaceState(null, "", location.pathname);
    form.hidden = true;
    return say("You are in", "You are a member of this organization, too.");
  }
  fault.textContent = joined.answer.detail;
  fault.hidden = false;
});

provider.addEventListener("click", async () => {
  const departure = await goToProvider("/v1/invitations/provider/begin", { token });
  if (departure.ok) return;
  fault.textContent = departure.answer.detail;
  fault.hidden = false;
});

form.addEventListener("submit", async (event) => {
  event.preventDefault();
  send.disabled = true;
  fault.hidden = true;
  const joined = await ask("/v1/invitations/accept", { token, email: email.value.trim(), name: name.value.trim(), password: password.value });
  send.disabled = false;
  if (!joined.ok) {
    fault.textContent = joined.answer.detail;
    fault.hidden = false;
    return;
  }
  history.replaceState(null, "", location.pathname);
  password.value = "";
  form.hidden = true;
  say("You are in", "Log in at a command line:");
  next.textContent = `keystile login --server ${location.origin} --email ${joined.answer.email}`;
  next.hidden = false;
  element("more").hidden = false;
  next.focus();
});

begin();
