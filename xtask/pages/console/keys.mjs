// Keys: made, copied, called with, rotated under traffic, disabled, revoked.
import { enter } from "./session.mjs";

export async function consoleKeys(look) {
  const { page } = await enter(look, "owner", "/keys");
  const name = `worker-${look.look.name}-${Date.now() % 100_000}`;
  const api = await look.ask("POST", "/v1/apis", { name: `Echo ${name}`, upstream: look.upstream, path_prefix: `/${name}` });
  const project = await look.ask("POST", "/v1/projects", { name: `Of ${name}` });
  await look.ask("POST", "/v1/activations", { project_id: project.id, api_id: api.id });
  const call = (secret) => fetch(`${look.gateway}/${name}/hello`, { headers: { authorization: `Bearer ${secret}` } });
  await page.reload();
  await look.judge(page, "console-keys");

  // Made, and not lost by a key that is pressed too soon.
  await page.keyboard.press("c");
  await page.waitForSelector("dialog[open]");
  await page.fill("#name", name);
  await page.selectOption("#project", project.id);
  await page.click("label:has-text('30 days')");
  await page.waitForFunction(() => document.querySelector("#as-cli")?.textContent.includes("--expires-in-days 30"));
  await page.click("#as-code summary");
  look.holds((await page.textContent("#as-cli")).includes(`--name ${name}`), "the form says what it is as code");
  await look.judge(page, "console-key-new");
  await page.click("dialog button.primary");
  await page.waitForSelector("dialog[data-secret]");
  const secret = (await page.textContent("#secret")).trim();
  look.holds(secret.startsWith("ks_live_"), "the secret is shown");
  await look.judge(page, "console-key-secret");
  for (let n = 0; n < 4; n += 1) await page.keyboard.press("Escape");
  look.holds(await page.isVisible("[data-guard]"), "a secret that nobody copied does not go away");
  await look.judge(page, "console-key-guard");
  look.holds((await call(secret)).status === 200, "the key lets a call through");
  await page.waitForSelector(".wait.live");
  look.holds((await page.textContent(".wait")).includes("answered with 200"), "its first call is seen as it arrives");
  const stored = await page.evaluate(() => JSON.stringify({ ...localStorage, ...sessionStorage }) + location.href);
  look.holds(!stored.includes(secret), "the secret is kept nowhere in the browser");
  await page.click("text=Discard");
  await page.waitForURL(/\/keys\/key_/);
  const id = new URL(page.url()).pathname.split("/").pop();
  look.holds(!(await page.content()).includes(secret), "and is shown no more");
  await look.judge(page, "console-key");
  for (const tab of ["requests", "permissions", "network", "secrets", "history"]) {
    await page.goto(`${look.admin}/keys/${id}?tab=${tab}`);
    await look.judge(page, `console-key-${tab}`);
  }

  // Rotated under traffic: no call is refused while both are good.
  await page.goto(`${look.admin}/keys/${id}`);
  let refused = 0;
  let goes = true;
  const traffic = (async () => {
    while (goes) if ((await call(secret)).status !== 200) refused += 1;
  })();
  await page.click("a:has-text('Rotate')");
  await page.waitForSelector("dialog[open]");
  await look.judge(page, "console-key-rotate");
  await page.click("dialog button.primary");
  await page.waitForSelector("dialog[data-secret]");
  const fresh = (await page.textContent("#secret")).trim();
  look.holds(fresh !== secret && (await call(fresh)).status === 200, "the new secret is good at once");
  goes = false;
  await traffic;
  look.holds(refused === 0, `nothing is refused meanwhile: ${refused}`);
  await page.click("[data-secret] .reveal button");
  await page.click("text=Done");
  await page.waitForURL(new RegExp(`/keys/${id}`));
  await page.goto(`${look.admin}/keys/${id}?tab=secrets`);
  await look.judge(page, "console-key-overlap");
  await page.click("text=End now");
  await page.waitForLoadState();
  look.holds((await call(secret)).status === 401 && (await call(fresh)).status === 200, "the overlap is ended early");

  // Disabled and enabled, then revoked by its name.
  await page.goto(`${look.admin}/keys/${id}`);
  await page.click(".acts a:has-text('Disable')");
  await page.waitForSelector("dialog[open]");
  await look.judge(page, "console-key-disable");
  await page.click("dialog button.primary");
  await page.waitForSelector(".acts button:has-text('Enable')");
  look.holds((await call(fresh)).status === 401, "a disabled key is refused");
  await page.click(".acts button:has-text('Enable')");
  await page.waitForSelector(".acts a:has-text('Disable')");
  look.holds((await call(fresh)).status === 200, "and good again");
  await page.click(".acts a:has-text('Edit')");
  await page.waitForSelector("dialog[open]");
  await look.judge(page, "console-key-edit");
  await page.fill("#limit", "many");
  await page.click("dialog button.primary");
  await page.waitForSelector("dialog [role=alert]");
  look.holds((await page.inputValue("#limit")) === "many", "what was typed is not lost");
  await page.fill("#limit", "6,000");
  await page.click("dialog button.primary");
  await page.waitForSelector("main:has-text('6,000 per minute')");
  await page.click(".acts a:has-text('Revoke')");
  await page.waitForSelector("dialog[open]");
  look.holds(await page.isDisabled("[data-confirm-button]"), "nothing is revoked by one click");
  await look.judge(page, "console-key-revoke");
  await page.fill("#confirm", name);
  await page.click("[data-confirm-button]");
  await page.waitForSelector("main .badge:has-text('Revoked')");
  look.holds((await call(fresh)).status === 401, "a revoked key is refused");
  const audit = await look.ask("GET", `/v1/audit?subject_id=${id}&type=key.revoke`);
  look.holds(audit.items[0].after.reason === "Leaked or exposed", "the reason is in the audit");

  // Found again.
  await page.goto(`${look.admin}/keys?q=${name}`);
  look.holds((await page.locator("table.rows tbody tr").count()) === 1, "a key is found by its name");
  await page.goto(`${look.admin}/keys?q=nothing-is-called-that`);
  await look.judge(page, "console-keys-none");
  const csv = await page.request.get(`${look.admin}/keys.csv?q=${name}`);
  look.holds((await csv.text()).split("\r\n").length === 3, "the same as CSV");
  await page.keyboard.press("Control+k");
  await page.waitForSelector("dialog.pal[open] li");
  await page.keyboard.type(name);
  await page.waitForSelector(`dialog.pal li:has-text('${name}')`);
  await look.judge(page, "console-palette");
  await page.keyboard.press("Enter");
  await page.waitForURL(new RegExp(`/keys/${id}`));
  await page.context().close();
  await withoutScript(look, project.id);
}

/** The same by plain forms. */
async function withoutScript(look, project) {
  const { page } = await enter(look, "admin");
  const state = await page.context().storageState();
  const context = await look.browser.newContext({ ...look.look, name: undefined, javaScriptEnabled: false, storageState: state });
  const plain = await context.newPage();
  await plain.goto(`${look.admin}/keys/new`);
  await plain.screenshot({ path: look.picture("console-plain-new"), fullPage: true });
  await plain.fill("#name", "plain");
  await plain.selectOption("#project", project);
  await plain.click("button:has-text('Create key')");
  const secret = (await plain.textContent("#secret")).trim();
  look.holds(secret.length > 30, "a key is made without script");
  await plain.click("text=Done");
  const id = new URL(plain.url()).pathname.split("/").pop();
  await plain.click(".acts a:has-text('Rotate')");
  await plain.click("button:has-text('Rotate key')");
  look.holds((await plain.textContent("#secret")).trim() !== secret, "rotated without script");
  await plain.goto(`${look.admin}/keys/${id}/revoke`);
  await plain.click("button:has-text('Revoke key')");
  look.holds(/Type the name/.test(await plain.textContent("main")), "its name is asked for without script, too");
  await plain.fill("#confirm", "plain");
  await plain.click("button:has-text('Revoke key')");
  look.holds((await plain.textContent("main")).includes("Revoked"), "revoked without script");
  await context.close();
  await page.context().close();
}
