// @ts-check
// The palette: go somewhere, find a key, a project or an API, begin something. The server answers what is typed.
customElements.define("command-palette", class extends HTMLElement {
  connectedCallback() {
    const dialog = document.createElement("dialog");
    dialog.className = "pal";
    dialog.setAttribute("aria-label", "Command palette");
    const input = document.createElement("input");
    input.setAttribute("aria-label", "Search or jump to");
    input.setAttribute("role", "combobox");
    input.setAttribute("aria-expanded", "true");
    input.setAttribute("aria-controls", "palette-list");
    input.placeholder = "Type a command, or a name, an id, the last four of a key…";
    input.autocomplete = "off";
    const list = document.createElement("ul");
    list.id = "palette-list";
    list.setAttribute("role", "listbox");
    list.setAttribute("aria-label", "Results");
    dialog.append(input, list);
    this.append(dialog);
    this.dialog = dialog;
    this.input = input;
    let asked = 0;
    const ask = async () => {
      const turn = ++asked;
      const response = await fetch(`/palette?q=${encodeURIComponent(input.value)}`, { headers: { "hx-request": "true" } });
      const text = response.ok ? await response.text() : "";
      if (turn !== asked) return;
      const parsed = new DOMParser().parseFromString(text, "text/html");
      list.replaceChildren(...parsed.body.children);
      this.select(0);
    };
    input.addEventListener("input", ask);
    this.ask = ask;
    dialog.addEventListener("keydown", (event) => {
      const rows = this.rows();
      const at = rows.findIndex((row) => row.getAttribute("aria-selected") === "true");
      if (event.key === "ArrowDown") this.select(Math.min(rows.length - 1, at + 1));
      else if (event.key === "ArrowUp") this.select(Math.max(0, at - 1));
      else if (event.key === "Enter") this.go(rows[at]);
      else return;
      event.preventDefault();
    });
    list.addEventListener("click", (event) => this.go(/** @type {Element} */ (event.target).closest("li")));
  }
  rows() {
    return [...this.querySelectorAll("li[role=option]")];
  }
  /** @param {number} at */
  select(at) {
    this.rows().forEach((row, n) => {
      row.setAttribute("aria-selected", String(n === at));
      row.id = `palette-${n}`;
    });
    const row = this.rows()[at];
    this.input?.setAttribute("aria-activedescendant", row?.id ?? "");
    row?.scrollIntoView({ block: "nearest" });
  }
  /** @param {Element | null | undefined} row */
  go(row) {
    const path = row?.getAttribute("data-path");
    if (path) location.assign(path);
  }
  open() {
    if (this.dialog?.open) return;
    this.dialog?.showModal();
    this.input?.select();
    this.ask?.();
  }
});
