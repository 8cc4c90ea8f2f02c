// Signs in by a link: what stands behind the # of the address is sent when the button is pressed, and not before, so that nothing
// that merely looks at links uses it up.
import { ask, element } from "/server.js";

const [form, second, code, fault, send] = ["form", "second", "code", "fault", "send"].map(element);
const say = (title, text) => {
  element("state").textContent = title;
  element("about").textContent = text;
};
const token = location.hash.slice(1);

if (token) {
  say("Your link", "It works once. Press the button to sign in with it.");
  form.hidden = false;
  send.focus();
} else {
  say("The link is not whole", "The part behind the # is missing. Copy all of the link.");
}

form.addEventListener("submit", async (event) => {
  event.preventDefault();
  send.disabled = true;
  fault.hidden = true;
  const shown = second.hidden ? { token } : { token, code: code.value.trim() };
  const answered = await ask("POST", "/v1/login/link", { ...shown, deliver: "cookie" });
  send.disabled = false;
  if (answered.ok) return location.replace("/");
  if (answered.answer.code === "second_factor_required") {
    second.hidden = false;
    say("One more step", "Your account has a second factor.");
    return code.focus();
  }
  if (answered.answer.code === "login_failed" && second.hidden) {
    form.hidden = true;
    return say("This link leads nowhere", answered.answer.detail);
  }
  fault.textContent = answered.answer.detail;
  fault.hidden = false;
});
