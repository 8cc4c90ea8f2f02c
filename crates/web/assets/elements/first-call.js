// @ts-check
// Waits for the first request with a key, and says what became of it.
const HELP_AFTER = 60_000;

customElements.define("first-call", class extends HTMLElement {
  connectedCallback() {
    this.source = new EventSource(`/v1/requests/live?key_id=${encodeURIComponent(this.dataset.key ?? "")}`);
    this.source.addEventListener("request", (event) => this.seen(JSON.parse(/** @type {MessageEvent} */ (event).data)));
    this.timer = setTimeout(() => {
      const help = /** @type {HTMLElement | null} */ (this.querySelector("[data-help]"));
      if (help) help.hidden = false;
    }, HELP_AFTER);
  }
  disconnectedCallback() {
    this.source?.close();
    clearTimeout(this.timer);
  }
  /** @param {any} request */
  seen(request) {
    const panel = /** @type {HTMLElement} */ (this.querySelector(".wait"));
    const isAllowed = request.code === "allowed";
    panel.classList.add(isAllowed ? "live" : "refused");
    panel.querySelector(".pulse")?.remove();
    const text = /** @type {HTMLElement} */ (panel.querySelector("span:last-child"));
    const took = `${(request.latency_us / 1000).toFixed(1)} ms`;
    text.textContent = isAllowed
      ? `${request.method} ${request.path} answered with ${request.status} in ${took}.`
      : `${request.method} ${request.path} was refused: ${request.code} (${request.status}).`;
    const link = document.createElement("a");
    link.href = `/requests/${request.id}`;
    link.className = "link";
    link.textContent = "Why";
    text.append(" ", link);
    const help = /** @type {HTMLElement | null} */ (this.querySelector("[data-help]"));
    if (help && isAllowed) help.hidden = true;
    this.dispatchEvent(new CustomEvent("first-call", { bubbles: true, detail: request }));
    if (isAllowed) this.disconnectedCallback();
  }
});
