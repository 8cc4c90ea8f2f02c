// Accepts an invitation: what stands behind the # of the address is sent to see what it is, and with the form.
const element = (id) => document.getElementById(id);
const say = (title, text) => {
  element("state").textContent = title;
  element("about").textContent = text;
};
const ask = async (path, body) => {
  const response = await fetch(path, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify(body),
  });
  return { status: response.status, ok: response.ok, answer: await response.json() };
};
const token = location.hash.slice(1);
const [form, email, name, password, fault, send, next] = ["form", "email", "name", "password", "fault", "send", "next"].map(element);

const begin = async () => {
  if (!token) return say("The link is not whole", "The part behind the # is missing. Copy all of the link.");
  let looked;
  try {
    looked = await ask("/v1/invitations/look", { token });
  } catch {
    return say("That did not work", "The server was not reached. Load the page again.");
  }
  if (!looked.ok) return say("There is no invitation here", looked.answer.detail);
  const { organization_name, role, email: invited } = looked.answer;
  say(organization_name, `You will be ${role} there.`);
  if (invited) {
    email.value = invited;
    email.readOnly = true;
  }
  form.hidden = false;
  (invited ? name : email).focus();
};

element("show").addEventListener("change", (event) => {
  password.type = event.target.checked ? "text" : "password";
});

form.addEventListener("submit", async (event) => {
  event.preventDefault();
  send.disabled = true;
  fault.hidden = true;
  let joined;
  try {
    joined = await ask("/v1/invitations/accept", { token, email: email.value.trim(), name: name.value.trim(), password: password.value });
  } catch {
    joined = { answer: { detail: "The server was not reached. Try again." } };
  }
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
