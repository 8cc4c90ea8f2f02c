// Ways to sign in that need script: passkeys, and an identity provider.
import { ask, goToProvider, hasPasskeys, usePasskey } from "/server.js";

customElements.define("sign-in-ways", class extends HTMLElement {
  connectedCallback() {
    const fault = this.querySelector("[role=alert]");
    const complain = ({ detail }) => {
      fault.textContent = detail;
      fault.hidden = false;
    };
    const passkey = this.querySelector("[data-passkey]");
    if (passkey && hasPasskeys()) {
      passkey.hidden = false;
      passkey.addEventListener("click", async () => {
        fault.hidden = true;
        const used = await usePasskey();
        if (!used.ok) return complain(used.answer);
        const entered = await ask("POST", "/v1/login/passkey", { ...used.answer, deliver: "cookie" });
        if (!entered.ok) return complain(entered.answer);
        location.assign(this.dataset.next || "/");
      });
    }
    const provider = this.querySelector("[data-provider]");
    if (provider) {
      provider.hidden = false;
      provider.addEventListener("click", async () => {
        const departure = await goToProvider("/v1/login/provider/begin", { page: "account" });
        if (!departure.ok) complain(departure.answer);
      });
    }
  }
});
