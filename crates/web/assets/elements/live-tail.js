// @ts-check
// The request log as it grows (Server-Sent Events of the management API). Rows wait while somebody looks at them.
const KEPT = 200;

customElements.define("live-tail", class extends HTMLElement {
  connectedCallback() {
    this.body = /** @type {HTMLElement} */ (this.querySelector("tbody"));
    this.template = /** @type {HTMLTemplateElement} */ (this.querySelector("template"));
    this.state = /** @type {HTMLElement} */ (this.querySelector("[data-state]"));
    this.button = /** @type {HTMLButtonElement} */ (this.querySelector("[data-pause]"));
    /** @type {Element[]} */
    this.waiting = [];
    this.isPaused = false;
    this.isHovered = false;
    this.count = 0;
    this.button.hidden = false;
    this.button.addEventListener("click", () => this.pause(!this.isPaused));
    this.addEventListener("pointerenter", () => (this.isHovered = true));
    this.addEventListener("pointerleave", () => {
      this.isHovered = false;
      this.flush();
    });
    this.source = new EventSource(`/v1/requests/live?${this.dataset.query ?? ""}`);
    this.source.addEventListener("open", () => this.say());
    this.source.addEventListener("error", () => (this.state.textContent = "Connecting again…"));
    this.source.addEventListener("request", (event) => this.take(JSON.parse(/** @type {MessageEvent} */ (event).data)));
    // What is read aloud is a sum, now and then, and not each row.
    this.timer = setInterval(() => this.tell(), 10_000);
  }
  disconnectedCallback() {
    this.source?.close();
    clearInterval(this.timer);
  }
  /** @param {boolean} paused */
  pause(paused) {
    this.isPaused = paused;
    this.button.setAttribute("aria-pressed", String(paused));
    const label = this.button.querySelector("span");
    if (label) label.textContent = paused ? "Go on" : "Pause";
    if (!paused) this.flush();
    this.say();
  }
  /** @param {any} request */
  take(request) {
    this.count += 1;
    const row = /** @type {Element} */ (this.template.content.firstElementChild?.cloneNode(true));
    const set = (/** @type {string} */ name, /** @type {string} */ text) => {
      const place = row.querySelector(`[data-is=${name}]`);
      if (place) place.textContent = text;
    };
    set("at", new Date(request.at).toTimeString().slice(0, 8) + "." + request.at.slice(20, 23).padEnd(3, "0"));
    set("method", request.method ?? "");
    set("path", request.path ?? request.door);
    set("status", String(request.status));
    set("code", request.code);
    set("address", request.address ?? "");
    set("took", request.latency_us < 10_000 ? `${(request.latency_us / 1000).toFixed(2)} ms` : `${Math.round(request.latency_us / 1000)} ms`);
    const limited = ["rate_limited", "quota_exhausted", "credits_exhausted", "overloaded"].includes(request.code);
    const badge = row.querySelector("[data-is=code]");
    badge?.classList.add(limited ? "warn" : request.code === "allowed" && request.status < 500 ? "ok" : "bad");
    for (const [name, id] of [["request", request.id], ["key", request.key_id]]) {
      const link = row.querySelector(`[data-link=${name}]`);
      if (!link) continue;
      if (id) link.setAttribute("href", `/${name}s/${id}`);
      else link.remove();
    }
    this.waiting.unshift(row);
    this.waiting.length = Math.min(this.waiting.length, KEPT);
    if (this.isPaused || this.isHovered || this.contains(document.activeElement?.closest("tbody") ?? null)) this.say();
    else this.flush();
  }
  flush() {
    if (this.isPaused) return;
    this.querySelector(".waiting")?.remove();
    this.body?.prepend(...this.waiting);
    this.waiting = [];
    while ((this.body?.children.length ?? 0) > KEPT) this.body?.lastElementChild?.remove();
    this.say();
  }
  say() {
    const held = this.waiting.length;
    this.state.textContent = held ? `${held} waiting` : this.isPaused ? "Paused" : "Live";
    this.toggleAttribute("data-held", held > 0 || this.isPaused);
  }
  tell() {
    const place = this.querySelector("[data-summary]");
    if (place && this.count) place.textContent = `${this.count} requests in the last ten seconds`;
    this.count = 0;
  }
});
