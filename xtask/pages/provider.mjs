// Logging in at an identity provider that is not ours (panva's oidc-provider, which is certified by the OpenID Foundation), with its own
// pages: an invitation is accepted, somebody logs in and proves who they are, an account is connected.
import { spawn } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:http";
import { createRequire } from "node:module";
import { createInterface } from "node:readline";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pathToFileURL } from "node:url";

const { KEYSTILE_MODULES, KEYSTILE_BINARY } = process.env;

/** A provider that lets everybody in under the name that they type. */
async function provider(origin) {
  // It tells what it is not made for, which is all that it is here.
  console.warn = console.info = () => {};
  const found = createRequire(join(KEYSTILE_MODULES, "index.js")).resolve("oidc-provider");
  const { default: Provider } = await import(pathToFileURL(found).href);
  const server = createServer();
  await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
  const issuer = `http://localhost:${server.address().port}`;
  const oidc = new Provider(issuer, {
    clients: [{ client_id: "keystile", client_secret: "its secret", redirect_uris: [`${origin}/login/oidc/callback`] }],
    claims: { openid: ["sub"], email: ["email", "email_verified"] },
    findAccount: (_, id) => ({ accountId: id, claims: () => ({ sub: id, email: `${id}@example.com`, email_verified: true }) }),
    pkce: { required: () => true },
    cookies: { keys: ["only here"] },
  });
  server.on("request", oidc.callback());
  return { issuer, end: () => server.close() };
}

const free = () =>
  new Promise((resolve) => {
    const server = createServer().listen(0, "127.0.0.1", () => {
      const { port } = server.address();
      server.close(() => resolve(port));
    });
  });

/** An installation whose people log in at the provider. */
async function installation(port, issuer) {
  const folder = mkdtempSync(join(tmpdir(), "keystile-pages-"));
  writeFileSync(join(folder, "secret"), "its secret\n", { mode: 0o600 });
  writeFileSync(
    join(folder, "keystile.toml"),
    `data = "${folder}/data"
[gateway]
listen = "127.0.0.1:0"
[admin]
listen = "127.0.0.1:${port}"
[check]
listen = "127.0.0.1:0"
[login]
origin = "http://localhost:${port}"
[oidc]
issuer = "${issuer}"
client_secret_file = "${folder}/secret"
name = "Example"
`,
  );
  const child = spawn(KEYSTILE_BINARY, ["serve", "--json", "--config", join(folder, "keystile.toml")], {
    stdio: ["ignore", "pipe", "inherit"],
    // What this is told is no setting of the server.
    env: { PATH: process.env.PATH },
  });
  const { value: line } = await createInterface({ input: child.stdout })[Symbol.asyncIterator]().next();
  const { admin, management_key } = JSON.parse(line);
  const end = () =>
    new Promise((resolve) => {
      child.on("exit", () => {
        rmSync(folder, { recursive: true });
        resolve();
      });
      child.kill();
    });
  return { admin, key: management_key, end };
}

export async function identityProvider(look) {
  const port = await free();
  const here = `http://localhost:${port}`;
  const elsewhere = await provider(here);
  const server = await installation(port, elsewhere.issuer);
  const ask = async (method, path, body) => {
    const headers = { authorization: `Bearer ${server.key}`, "content-type": "application/json" };
    const answer = await fetch(server.admin + path, { method, headers, body: body && JSON.stringify(body) });
    return { status: answer.status, answer: await answer.json() };
  };
  try {
    await visit(look, { here, ask });
  } finally {
    await server.end();
    elsewhere.end();
  }
}

async function visit(look, { here, ask }) {
  const page = await look.page();
  const text = (id) => page.textContent(`#${id}`);
  const shows = (id) => page.waitForSelector(`#${id}:not([hidden])`);
  look.refused.add("/v1/whoami").add("/v1/account/passkeys").add("/v1/account/identities").add("/favicon.ico");
  /** On the provider's own pages: who it is, and that Keystile may know. */
  const there = async (name) => {
    if (name) {
      await page.waitForSelector("input[name=login]");
      await page.fill("input[name=login]", name);
      await page.fill("input[name=password]", "anything");
      await page.click("button[type=submit]");
    }
    await page.waitForFunction((here) => location.origin === here || document.querySelector("button[type=submit]"), here);
    if (!page.url().startsWith(here)) await page.click("button[type=submit]");
    await page.waitForURL((url) => url.origin === here);
  };

  const invited = (await ask("POST", "/v1/invitations", { role: "auditor", email: "grace@example.com" })).answer;
  await page.goto(here + invited.path);
  await shows("provider");
  look.holds((await text("provider")) === "Join with Example", "it says with what");
  await look.judge(page, "provider-join");
  await page.click("#provider");
  await there("grace");
  await page.waitForFunction(() => document.getElementById("state").textContent === "You are in");
  await shows("provider");
  await look.judge(page, "provider-joined");
  await page.click("#provider");
  await there();
  await shows("ways");
  look.holds((await text("state")) === "grace@example.com", `it says who is in: ${await text("state")}`);
  look.holds(/grace at localhost:[0-9]+, used 20/.test(await text("identities")), "and what they are known by");
  await look.judge(page, "provider-in");
  const me = (await page.evaluate("fetch('/v1/whoami').then((answer) => answer.json())")).account;
  look.holds(me.has_password === false, "there is no password");
  const entries = (await ask("GET", "/v1/audit?type=session.create&limit=1")).answer.items;
  look.holds(entries[0].after.factor === "identity", "the audit says how they logged in");
  await page.context().close();

  // Nobody else there is anybody here.
  const other = await look.page();
  await other.goto(`${here}/account`);
  await other.waitForSelector("#provider:not([hidden])");
  await look.judge(other, "provider-login");
  await other.click("#provider");
  await other.waitForSelector("input[name=login]");
  await other.fill("input[name=login]", "mallory");
  await other.fill("input[name=password]", "anything");
  await other.click("button[type=submit]");
  await other.waitForFunction((here) => location.origin === here || !document.querySelector("input[name=login]"), here);
  if (!other.url().startsWith(here)) await other.click("button[type=submit]");
  await other.waitForSelector("#fault:not([hidden])");
  look.holds(/Nobody is known by this identity/.test(await other.textContent("#fault")), "a stranger is told so");
  look.holds(!other.url().includes("#"), "and the address says nothing of it");
  await look.judge(other, "provider-stranger");
  await other.context().close();
}
