// Lets a device in: whoever opens this logs in, types the code that the device shows (or brings it behind the #), sees which
// device it is, and decides.
import { ask, element, logIn, wantsProof } from "/server.js";

const [login, choose, judge, fault, userCode] = ["login", "choose", "judge", "fault", "user-code"].map(element);
const forms = [login, choose, judge];
const show = (form, title, text) => {
  for (const other of forms) other.hidden = other !== form;
  element("state").textContent = title;
  element("about").textContent = text;
  fault.hidden = true;
  form?.querySelector("input, button")?.focus();
};
const complain = (text) => {
  fault.textContent = text;
  fault.hidden = false;
};
let me;
// A way to the identity provider leaves nothing behind the #.
if (location.hash) {
  sessionStorage.setItem("device", location.hash.slice(1));
  history.replaceState(null, "", location.pathname);
}

const begin = async () => {
  const known = await ask("GET", "/v1/whoami");
  if (!known.ok) return show(login, "Log in first", "Then you see which device it is.");
  me = known.answer;
  userCode.value = sessionStorage.getItem("device") ?? "";
  const here = me.account.organizations.find(({ organization_id }) => organization_id === me.organization_id);
  show(choose, "Which device?", `You are ${me.account.email} at ${here?.name}.`);
};

logIn({ entered: () => begin(), complain });

choose.addEventListener("submit", async (event) => {
  event.preventDefault();
  sessionStorage.setItem("device", userCode.value);
  const looked = await ask("POST", "/v1/account/device/look", { user_code: userCode.value });
  if (!looked.ok) return complain(looked.answer.detail);
  const { agent, address } = looked.answer;
  show(judge, agent || "A device without a name", `It asks from ${address ?? "an unknown address"}. Let in, it is ${me.account.email} until its session ends.`);
});

const decide = async (approve) => {
  const done = await ask("POST", "/v1/account/device", { user_code: userCode.value, approve });
  if (done.ok) {
    sessionStorage.removeItem("device");
    return show(undefined, approve ? "It is in" : "It was refused", "You can close this page.");
  }
  if (done.answer.code === "step_up_required") wantsProof(true);
  if (done.answer.code === "step_up_required") return show(login, "Log in once more", "To let a device in, prove first who you are.");
  complain(done.answer.detail);
};
judge.addEventListener("submit", (event) => {
  event.preventDefault();
  decide(true);
});
element("refuse").addEventListener("click", () => decide(false));

begin();
