// What the pages share: asking this server, and passkeys.
export const element = (id) => document.getElementById(id);

/** Asks the management API: whether it went well, and the answer. */
export const ask = async (method, path, body) => {
  try {
    const response = await fetch(path, {
      method,
      headers: body ? { "content-type": "application/json" } : {},
      body: body && JSON.stringify(body),
    });
    const text = await response.text();
    return { ok: response.ok, answer: text ? JSON.parse(text) : {} };
  } catch {
    return { ok: false, answer: { detail: "The server was not reached. Try again." } };
  }
};

/** Whether this browser has passkeys. */
export const hasPasskeys = () => typeof window.PublicKeyCredential?.parseRequestOptionsFromJSON === "function";

/** What a browser says when no passkey came of it, in words that help. */
const why = (error) => {
  if (error.name === "SecurityError") {
    return `Passkeys do not work at ${location.origin}: they want https, or http://localhost, and the address that login.origin of the settings names.`;
  }
  if (error.name === "InvalidStateError") return "This device has a passkey of yours already.";
  if (error.name === "NotAllowedError") return "No passkey was used: it was cancelled, took too long, or there is none here.";
  return `The browser could not use a passkey: ${error.message}`;
};

const ceremony = async (method, path, use) => {
  const begun = await ask(method, path, {});
  if (!begun.ok) return begun;
  try {
    const credential = await use(begun.answer.public_key);
    return { ok: true, answer: { ceremony: begun.answer.ceremony, credential: credential.toJSON() } };
  } catch (error) {
    return { ok: false, answer: { detail: why(error) } };
  }
};

/** The answer of a passkey that is there. */
export const usePasskey = () =>
  ceremony("POST", "/v1/login/passkey/begin", (options) =>
    navigator.credentials.get({ publicKey: PublicKeyCredential.parseRequestOptionsFromJSON(options) }),
  );

/** A new passkey. */
export const makePasskey = () =>
  ceremony("POST", "/v1/account/passkeys/begin", (options) =>
    navigator.credentials.create({ publicKey: PublicKeyCredential.parseCreationOptionsFromJSON(options) }),
  );

/** What is meant by the word behind the # with which a browser comes back from the identity provider. */
const SAID = {
  refused: "The provider let nobody in.",
  ended: "It took too long, or began in another browser. Try again.",
  failed: "The identity provider could not be asked, or its answer was of no use. Whoever runs this server finds the reason in its log.",
  busy: "Too much went wrong from your network. Try again in a quarter of an hour.",
  stale: "The provider does not say when you proved there who you are (auth_time), and this wants it. Use a password or a passkey.",
  unknown: "Nobody is known by this identity here. Log in another way, and connect it with your account.",
  taken: "This identity is connected with another account.",
  address: "The provider knows no e-mail address of yours, or another one than the invitation is for.",
  there: "There is an account with your e-mail address already, or you are a member already. Log in, and open the link of the invitation once more.",
  invitation: "This invitation was accepted, was taken back, or has ended.",
  session: "Your session has ended, or is older than it may be for this. Log in once more.",
};

/** What became of a way to the identity provider, if the browser comes back from there. */
export const cameBack = () => {
  const said = SAID[location.hash.slice(1)];
  if (said) history.replaceState(null, "", location.pathname);
  return said;
};

/** Goes to the identity provider; comes back only if that is not to be. */
export const goToProvider = async (path, body) => {
  const departure = await ask("POST", path, body);
  if (departure.ok) location.assign(departure.answer.url);
  return departure;
};

/** Asks by the form #login for proof of who is in already, or no more. */
export const wantsProof = (wanted) => {
  const email = element("email");
  if (wanted) element("login").dataset.proof = "";
  else delete element("login").dataset.proof;
  email.required = !wanted;
  email.hidden = wanted;
  document.querySelector("label[for=email]").hidden = wanted;
};

/** Logs in by the form #login, or proves by it who is in; calls `entered` when that is done, `complain` with what went wrong. */
export const logIn = ({ entered, complain }) => {
  const [form, second, code, password, passkey, provider] = ["login", "second", "code", "password", "passkey", "provider"].map(element);
  const proves = () => "proof" in form.dataset;
  const done = () => {
    wantsProof(false);
    entered();
  };
  ask("GET", "/v1/login/ways").then(({ ok, answer }) => {
    if (!ok) return;
    passkey.hidden = !answer.passkeys || !hasPasskeys();
    provider.hidden = !answer.provider;
    provider.textContent = `Log in with ${answer.provider}`;
  });
  provider.addEventListener("click", async () => {
    const page = location.pathname.slice(1);
    // Whoever is in and is asked for proof gives it there anew.
    const path = proves() ? "/v1/account/prove/provider/begin" : "/v1/login/provider/begin";
    const departure = await goToProvider(path, { page });
    if (departure.ok) return;
    if (departure.answer.code === "session_ended") wantsProof(false);
    complain(departure.answer.detail);
  });
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    const proof = { password: password.value };
    if (!second.hidden) proof.code = code.value.trim();
    const who = { email: element("email").value.trim(), deliver: "cookie" };
    const answered = proves() ? await ask("POST", "/v1/account/prove", proof) : await ask("POST", "/v1/login", { ...proof, ...who });
    if (answered.ok) {
      password.value = "";
      return done();
    }
    if (answered.answer.code === "session_ended") wantsProof(false);
    if (answered.answer.code === "second_factor_required") {
      second.hidden = false;
      element("fault").hidden = true;
      return code.focus();
    }
    complain(answered.answer.detail);
  });
  passkey.addEventListener("click", async () => {
    const used = await usePasskey();
    if (!used.ok) return complain(used.answer.detail);
    const path = proves() ? "/v1/account/prove/passkey" : "/v1/login/passkey";
    const answered = await ask("POST", path, proves() ? used.answer : { ...used.answer, deliver: "cookie" });
    if (answered.ok) return done();
    if (answered.answer.code === "session_ended") wantsProof(false);
    complain(answered.answer.detail);
  });
};
