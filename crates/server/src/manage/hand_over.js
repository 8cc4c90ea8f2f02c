// Opens a link: what stands behind the # of the address is sent once, when somebody asks for it.
const element = (id) => document.getElementById(id);
const say = (title, text) => {
  element("state").textContent = title;
  element("about").textContent = text;
};
const token = location.hash.slice(1);
const [show, copy, key] = ["show", "copy", "key"].map(element);

if (token) {
  say("The key waits", "Once it is shown, this link leads to nothing.");
  show.hidden = false;
} else {
  say("The link is not whole", "The part behind the # is missing. Copy all of the link.");
}

show.addEventListener("click", async () => {
  show.disabled = true;
  let answer;
  try {
    const response = await fetch("/hand-over", {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify({ token }),
    });
    answer = await response.json();
    if (response.status === 404) {
      show.hidden = true;
      say("There is no key here", answer.detail);
      return;
    }
    if (!response.ok) {
      show.disabled = false;
      say("That did not work", answer.detail);
      return;
    }
  } catch {
    show.disabled = false;
    say("That did not work", "The server was not reached. Try again.");
    return;
  }
  history.replaceState(null, "", location.pathname);
  show.hidden = true;
  key.hidden = false;
  copy.hidden = false;
  key.textContent = answer.key;
  const end = answer.expires_at ? ` It ends at ${new Date(answer.expires_at).toLocaleString()}.` : "";
  say(answer.name, `This link shows it once. Keep it where secrets are kept.${end}`);
  key.focus();
});

copy.addEventListener("click", async () => {
  try {
    await navigator.clipboard.writeText(key.textContent);
    copy.textContent = "Copied";
  } catch {
    // Browsers keep the clipboard from pages that come in clear.
    getSelection().selectAllChildren(key);
    copy.textContent = "Selected: copy it";
  }
});
