// Sets a new password by a link: what stands behind the # of the address is sent with the form.
const element = (id) => document.getElementById(id);
const say = (title, text) => {
  element("state").textContent = title;
  element("about").textContent = text;
};
const token = location.hash.slice(1);
const [form, password, fault, send] = ["form", "password", "fault", "send"].map(element);

if (token) {
  say("Choose it", "The link works once.");
  form.hidden = false;
  password.focus();
} else {
  say("The link is not whole", "The part behind the # is missing. Copy all of the link.");
}

element("show").addEventListener("change", (event) => {
  password.type = event.target.checked ? "text" : "password";
});

form.addEventListener("submit", async (event) => {
  event.preventDefault();
  send.disabled = true;
  fault.hidden = true;
  let problem;
  try {
    const response = await fetch("/v1/password/reset", {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify({ token, password: password.value }),
    });
    if (!response.ok) problem = { status: response.status, ...(await response.json()) };
  } catch {
    problem = { detail: "The server was not reached. Try again." };
  }
  send.disabled = false;
  if (problem?.status === 404) {
    form.hidden = true;
    say("This link leads nowhere", problem.detail);
  } else if (problem) {
    fault.textContent = problem.detail;
    fault.hidden = false;
  } else {
    history.replaceState(null, "", location.pathname);
    password.value = "";
    form.hidden = true;
    say("It is set", "Log in with it from now on.");
  }
});
