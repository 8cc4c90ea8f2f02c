// @ts-check
// What script adds to pages that work without it: dialogs, copying, the theme, keys, relative times. Everything is delegated from
// the document, so what htmx brings in later is covered, too.

/** @param {string} selector @param {ParentNode} [within] @returns {HTMLElement | null} */
const find = (selector, within = document) => within.querySelector(selector);
/** @param {Event} event @param {string} selector @returns {HTMLElement | null} */
const on = (event, selector) => /** @type {Element} */ (event.target).closest(selector);
const root = document.documentElement;

// ---- The theme

const isDark = () => (root.dataset.theme ? root.dataset.theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches);
const toggleTheme = () => {
  root.dataset.theme = isDark() ? "light" : "dark";
  localStorage.setItem("theme", root.dataset.theme);
};

// ---- What is said in passing

let toastTimer = 0;
/** @param {string} text */
const say = (text) => {
  const toast = find(".toast");
  if (!toast) return;
  toast.textContent = text;
  toast.hidden = false;
  clearTimeout(toastTimer);
  toastTimer = window.setTimeout(() => (toast.hidden = true), 4000);
};
if (find(".toast:not([hidden])")) toastTimer = window.setTimeout(() => /** @type {HTMLElement} */ (find(".toast")).hidden = true, 4000);

// ---- Copying

/** Copies a text; where there is no clipboard (plain HTTP), it is selected, to be copied by hand. @param {HTMLElement} source */
const copy = async (source) => {
  try {
    await navigator.clipboard.writeText((source.textContent ?? "").trim());
    say("Copied to clipboard");
    return true;
  } catch {
    getSelection()?.selectAllChildren(source);
    say("Selected: copy it with Ctrl C");
    return false;
  }
};
/** @param {HTMLElement} button */
const copyFor = async (button) => {
  const source = "copyShown" in button.dataset ? find("pre:not([hidden])", button.closest(".code") ?? document) : find(button.dataset.copy ?? "");
  if (!source) return;
  const copied = await copy(source);
  const label = find("span", button);
  if (label && copied) label.textContent = "Copied";
  const dialog = button.closest("dialog");
  if (dialog && source.matches("[data-secret-text]")) {
    dialog.setAttribute("data-copied", "");
    const guard = find("[data-guard]", dialog);
    if (guard) guard.hidden = true;
  }
};

// ---- Dialogs. One with a secret does not close before it was copied or discarded.

/** @param {HTMLDialogElement | null} dialog */
const close = (dialog) => {
  if (!dialog) return;
  const guard = find("[data-guard]", dialog);
  if (guard && dialog.hasAttribute("data-secret") && !dialog.hasAttribute("data-copied")) {
    guard.hidden = false;
    guard.focus();
    return;
  }
  dialog.close();
};
document.addEventListener("close", (event) => {
  const dialog = /** @type {HTMLElement} */ (event.target);
  if (dialog.parentElement?.id !== "dialog") return;
  const leads = dialog.querySelector("[data-then]")?.getAttribute("data-then");
  dialog.remove();
  // A list that a secret was made from shows the new row.
  if (leads) location.assign(leads);
}, true);
document.addEventListener("htmx:afterSwap", () => {
  const dialog = /** @type {HTMLDialogElement | null} */ (find("#dialog > dialog"));
  if (dialog && !dialog.open) dialog.showModal();
  relate();
  guardConfirmed();
});
// What is ended by its typed name waits for it; without script, the server asks.
const guardConfirmed = () => {
  for (const button of document.querySelectorAll("[data-confirm-button]")) /** @type {HTMLButtonElement} */ (button).disabled = true;
};
guardConfirmed();
document.addEventListener("htmx:sendError", () => say("The server was not reached. Try again."));

// ---- Tabs of code

/** @param {HTMLElement} tab */
const choose = (tab) => {
  const box = tab.closest(".code");
  for (const other of box?.querySelectorAll("[role=tab]") ?? []) {
    other.setAttribute("aria-selected", String(other === tab));
    /** @type {HTMLElement} */ (other).tabIndex = other === tab ? 0 : -1;
  }
  for (const panel of box?.querySelectorAll("[role=tabpanel]") ?? []) {
    /** @type {HTMLElement} */ (panel).hidden = panel.id !== tab.getAttribute("aria-controls");
  }
  tab.focus();
};

// ---- The palette, whose script comes when it is first wanted

const openPalette = async () => {
  await customElements.whenDefined("command-palette");
  /** @type {any} */ (find("command-palette")).open();
};
const wantPalette = () => {
  if (!document.querySelector(".side")) return;
  if (!find("command-palette")) {
    document.body.append(document.createElement("command-palette"));
    import("asset:command-palette.js");
  }
  openPalette();
};

// ---- Clicks

document.addEventListener("click", (event) => {
  if (on(event, "[data-theme-toggle]")) toggleTheme();
  if (on(event, "[data-palette]")) wantPalette();
  const side = on(event, "[data-side]");
  if (side) side.setAttribute("aria-expanded", String(find(".side")?.classList.toggle("open")));
  const copier = on(event, "[data-copy], [data-copy-shown]");
  if (copier) copyFor(copier);
  const tab = on(event, "[role=tab]");
  if (tab) choose(tab);
  const closer = on(event, "[data-close]");
  const dialog = /** @type {HTMLDialogElement | null} */ (closer?.closest("dialog") ?? null);
  if (dialog) {
    event.preventDefault();
    close(dialog);
  }
  if (on(event, "[data-discard]")) /** @type {HTMLDialogElement | null} */ (on(event, "dialog"))?.close();
  const filler = on(event, "[data-fill]");
  if (filler) {
    const target = /** @type {HTMLInputElement | null} */ (find(filler.dataset.fill ?? ""));
    if (target) target.value = filler.dataset.value ?? "";
  }
});

// ---- Typing

document.addEventListener("input", (event) => {
  const input = /** @type {HTMLInputElement} */ (event.target);
  if (input.dataset.confirm !== undefined) {
    const button = /** @type {HTMLButtonElement | null} */ (find("[data-confirm-button]", input.form ?? document));
    if (button) button.disabled = input.value.trim() !== input.dataset.confirm;
  }
});
// A file is read into the field that it is for, so that a form is one of texts.
document.addEventListener("change", async (event) => {
  const input = /** @type {HTMLInputElement} */ (event.target);
  const into = input.dataset.readInto && /** @type {HTMLTextAreaElement | null} */ (find(input.dataset.readInto));
  if (into && input.files?.[0]) {
    into.value = await input.files[0].text();
    into.dispatchEvent(new Event("input", { bubbles: true }));
  }
  if (input.matches("[data-keys]")) localStorage.setItem("keys", input.checked ? "on" : "off");
  if (input.matches("[data-all]")) {
    for (const box of document.querySelectorAll(input.dataset.all ?? "")) /** @type {HTMLInputElement} */ (box).checked = input.checked;
  }
  if (input.matches("[data-all], [data-pick]")) {
    const count = document.querySelectorAll("[data-pick]:checked").length;
    const bar = find(".bulk");
    if (bar) bar.hidden = count === 0;
    const told = find("[data-count]");
    if (told) told.textContent = String(count);
  }
});

// ---- Keys. Those of one letter can be switched off (WCAG 2.1.4): localStorage "keys" = "off".

const keysBox = /** @type {HTMLInputElement | null} */ (find("[data-keys]"));
if (keysBox) {
  keysBox.checked = localStorage.getItem("keys") !== "off";
  keysBox.disabled = false;
}
const isTyping = (/** @type {EventTarget | null} */ target) => /** @type {Element} */ (target).matches?.("input, textarea, select, [contenteditable]");
document.addEventListener("keydown", (event) => {
  const secret = /** @type {HTMLDialogElement | null} */ (find("dialog[data-secret][open]"));
  if (event.key === "Escape" && secret) {
    event.preventDefault();
    close(secret);
    return;
  }
  if ((event.metaKey || event.ctrlKey) && event.key === "k") {
    event.preventDefault();
    wantPalette();
    return;
  }
  const tab = on(event, "[role=tab]");
  if (tab && (event.key === "ArrowRight" || event.key === "ArrowLeft")) {
    const tabs = [...(tab.parentElement?.querySelectorAll("[role=tab]") ?? [])];
    const next = tabs[(tabs.indexOf(tab) + (event.key === "ArrowRight" ? 1 : tabs.length - 1)) % tabs.length];
    choose(/** @type {HTMLElement} */ (next));
  }
  if (event.metaKey || event.ctrlKey || event.altKey || isTyping(event.target) || localStorage.getItem("keys") === "off" || find("dialog[open]")) return;
  if (event.key === "/") {
    event.preventDefault();
    find("input[type=search]")?.focus();
  }
  if (event.key === "c") find("[data-key=c]")?.click();
  if (event.key === "j" || event.key === "k") {
    const rows = [...document.querySelectorAll("table.rows tbody tr")].map((row) => find("a", row)).filter((link) => link !== null);
    const at = rows.indexOf(/** @type {HTMLElement} */ (document.activeElement));
    rows[Math.max(0, Math.min(rows.length - 1, at + (event.key === "j" ? 1 : -1)))]?.focus();
  }
});

// ---- Times that say how long ago they were

/** @param {number} seconds */
const length = (seconds) => {
  if (seconds < 60) return `${Math.max(0, Math.floor(seconds))} s`;
  if (seconds < 5400) return `${Math.round(seconds / 60)} min`;
  if (seconds < 129600) return `${Math.round(seconds / 3600)} h`;
  return `${Math.round(seconds / 86400)} days`;
};
const relate = () => {
  for (const time of document.querySelectorAll("time[data-ago]")) {
    const seconds = (Date.now() - Date.parse(time.getAttribute("datetime") ?? "")) / 1000;
    time.textContent = seconds < 0 ? `in ${length(-seconds)}` : `${length(seconds)} ago`;
  }
};
relate();
setInterval(relate, 5000);
