// Passkeys, with an authenticator that the browser plays: added, used to log in and to let a device in, and given away again.
const PASSWORD = "seven purple lemons dance";

/** A device that knows who is there, and finds its passkeys by itself. */
async function authenticator(page) {
  const session = await page.context().newCDPSession(page);
  await session.send("WebAuthn.enable");
  const options = {
    protocol: "ctap2",
    transport: "internal",
    hasResidentKey: true,
    hasUserVerification: true,
    isUserVerified: true,
    automaticPresenceSimulation: true,
  };
  const { authenticatorId } = await session.send("WebAuthn.addVirtualAuthenticator", { options });
  return {
    knows: (isUserVerified) => session.send("WebAuthn.setUserVerified", { authenticatorId, isUserVerified }),
    forget: () => session.send("WebAuthn.clearCredentials", { authenticatorId }),
    held: async () => (await session.send("WebAuthn.getCredentials", { authenticatorId })).credentials,
  };
}

export async function passkeys(look) {
  // Browsers have passkeys at names alone, and this machine's is localhost.
  const here = look.admin.replace("127.0.0.1", "localhost");
  const email = `grace-${Date.now()}@example.com`;
  const invited = await look.ask("POST", "/v1/invitations", { role: "auditor", email });
  const token = invited.path.split("#")[1];
  const joined = await fetch(`${look.admin}/v1/invitations/accept`, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify({ token, email, password: PASSWORD }),
  });
  look.holds(joined.status === 201, `somebody joined: ${joined.status}`);
  const page = await look.page();
  const device = await authenticator(page);
  const text = (id) => page.textContent(`#${id}`);
  const shows = (id) => page.waitForSelector(`#${id}:not([hidden])`);
  for (const path of ["/v1/whoami", "/v1/account/passkeys", "/v1/account/identities", "/v1/login/passkey", "/v1/account/device/look"]) look.refused.add(path);

  await page.goto(`${here}/account`);
  await shows("login");
  await look.judge(page, "account-login");
  await page.fill("#email", email);
  await page.fill("#password", PASSWORD);
  await page.click("#login button[type=submit]");
  await shows("ways");
  look.holds((await text("state")) === email, "it says who is in");
  look.holds(await page.isHidden("#without"), "nobody without a passkey gives the password up");
  await page.fill("#name", "Laptop");
  await page.click("#add button");
  await page.waitForSelector("#passkeys li");
  look.holds(/Laptop, not used yet/.test(await text("passkeys")), "the passkey is in the list");
  look.holds((await device.held())[0].isResidentCredential, "the device finds it without an address");
  await look.judge(page, "account-passkey");
  await page.fill("#name", "Laptop");
  await page.click("#add button");
  await shows("fault");
  look.holds(/has a passkey of yours already/.test(await text("fault")), "a second one on the same device is none");
  await look.judge(page, "account-twice");

  // Somebody else sits there: the browser forgets who was in, and the passkey says it.
  await page.context().clearCookies();
  await page.reload();
  await shows("login");
  await page.click("#passkey");
  await shows("ways");
  look.holds((await text("state")) === email, "the passkey says who is in");
  look.holds(/Laptop, used 20/.test(await text("passkeys")), "and that it was used");

  // The same at the console.
  await page.context().clearCookies();
  await page.goto(`${here}/keys`);
  await page.waitForSelector("[data-passkey]:not([hidden])");
  await look.judge(page, "console-login-passkey");
  await page.click("[data-passkey]");
  await page.waitForURL(`${here}/keys`);
  look.holds((await page.textContent("h1")) === "API keys", "a passkey lets somebody into the console, to the page they wanted");
  await page.goto(`${here}/account`);
  await shows("ways");
  await shows("without");
  await page.click("#give-up");
  await page.waitForFunction(() => document.getElementById("without").hidden);
  look.holds(/no password/.test(await text("about")), "it says that there is no password");
  const listed = await page.evaluate("fetch('/v1/account/passkeys').then((answer) => answer.json())");
  look.refused.add(`/v1/account/passkeys/${listed.items[0].id}`);
  await page.click("#passkeys button");
  await shows("fault");
  look.holds(/nothing else would let you in/.test((await text("fault")).toLowerCase()), `the last way in stays: ${await text("fault")}`);
  await look.judge(page, "account-last");

  // A device without a browser is let in by it, too.
  await page.context().clearCookies();
  const begun = await (await fetch(`${look.admin}/v1/device/authorize`, { method: "POST", headers: { "content-type": "application/json" }, body: "{}" })).json();
  await page.goto(here + begun.verification_path_complete);
  await shows("login");
  await page.click("#passkey");
  await shows("choose");
  await page.click("#choose button");
  await shows("judge");
  await page.click("#judge button[type=submit]");
  await page.waitForFunction(() => document.getElementById("state").textContent === "It is in");

  // What does not go on is said: nobody who is known there, no passkey, and an address at which there are none.
  await page.context().clearCookies();
  await page.goto(`${here}/account`);
  await shows("login");
  await device.knows(false);
  await page.click("#passkey");
  await shows("fault");
  look.holds(/No passkey was used/.test(await text("fault")), "an unknown person gets nothing");
  await device.knows(true);
  await device.forget();
  await page.click("#passkey");
  await page.waitForTimeout(300);
  look.holds(/No passkey was used/.test(await text("fault")), "nor does a device without one");
  await look.judge(page, "account-none");
  await page.goto(`${look.admin}/account`);
  await shows("login");
  await page.click("#passkey");
  await shows("fault");
  look.holds(/Passkeys do not work at http:\/\/127/.test(await text("fault")), "an address without passkeys is named");
  await page.context().close();
}
