// @ts-check
// A chart that the server drew: looking at one bar, with a pointer or with the arrow keys.
customElements.define("usage-chart", class extends HTMLElement {
  connectedCallback() {
    const columns = [...this.querySelectorAll("g.col")];
    const rows = [...this.querySelectorAll("tbody tr")];
    const tip = /** @type {HTMLElement} */ (this.querySelector(".tip"));
    const chart = /** @type {SVGElement} */ (this.querySelector("svg"));
    const places = [tip.querySelector("b"), ...tip.querySelectorAll("span")];
    let at = -1;
    const show = (/** @type {number} */ next) => {
      columns[at]?.classList.remove("on");
      at = next;
      tip.hidden = !columns[at];
      if (tip.hidden) return;
      columns[at].classList.add("on");
      [...rows[at].children].forEach((cell, n) => {
        const place = places[n];
        if (place) place.textContent = cell.textContent;
      });
      const bar = columns[at].getBoundingClientRect();
      const box = this.getBoundingClientRect();
      const x = bar.left - box.left + bar.width / 2;
      tip.style.left = `${x > box.width - 230 ? x - tip.offsetWidth - 14 : x + 14}px`;
      tip.style.top = "18px";
    };
    chart.addEventListener("pointermove", (event) => {
      const box = chart.getBoundingClientRect();
      show(Math.floor(((event.clientX - box.left) / box.width) * columns.length));
    });
    for (const leaves of ["pointerleave", "blur"]) chart.addEventListener(leaves, () => show(-1));
    chart.addEventListener("keydown", (event) => {
      const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
      if (event.key === "Escape") show(-1);
      if (!step) return;
      event.preventDefault();
      show(Math.max(0, Math.min(columns.length - 1, at + step)));
    });
  }
});
