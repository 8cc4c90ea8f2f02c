// Every room of the console, empty and with something in it, and the dialogs that open from it.
import { enter } from "./session.mjs";

/** Rooms that are looked at as they are. */
const ROOMS = [
  "/", "/apis", "/keys", "/projects", "/access", "/access?state=approved", "/plans", "/usage?by=key&range=30d", "/requests", "/alerts",
  "/hygiene", "/anomalies", "/leaks", "/audit", "/sessions", "/portal", "/webhooks", "/tokens", "/team", "/settings", "/ui/gallery",
];
/** Forms that open as dialogs from a room, and stand by themselves without script. */
const FORMS = ["/keys/new", "/apis/new", "/projects/new", "/plans/new", "/webhooks/new", "/tokens/new", "/team/invite"];

/** Bytes that a room may cost when nothing is kept yet, fonts aside. */
const HEAVIEST = 60_000;

export async function consoleRooms(look) {
  const { page } = await enter(look, "owner");
  const made = await furnish(look);
  for (const path of [...ROOMS, ...FORMS]) await show(look, page, path);
  for (const [noun, id] of Object.entries(made)) {
    await show(look, page, `/${noun}/${id}`, `/${noun}/ID`);
    const tabs = await page.locator(".tabbar a").evaluateAll((links) => links.map((link) => link.getAttribute("href")));
    for (const tab of tabs.slice(1)) await show(look, page, tab, `${tab.replace(id, "ID")}`);
  }
  await forms(look, page, made);
  await letters(look, page);
  for (const path of [...ROOMS, ...FORMS]) await weigh(look, page, path);
  await page.context().close();
}

async function show(look, page, path, name = path) {
  const answer = await page.goto(look.admin + path);
  look.holds(answer.status() === 200, `${path} is there`);
  look.holds((await page.locator("h1, #dialog-title").count()) > 0, `${path} says what it is`);
  await look.judge(page, `room${name.replace(/[^a-z0-9]+/gi, "-")}`);
}

/** Something of everything. */
async function furnish(look) {
  const mark = `${Date.now() % 1_000_000}`;
  const api = await look.ask("POST", "/v1/apis", { name: `Rooms ${mark}`, upstream: look.upstream, path_prefix: `/rooms-${mark}` });
  const project = await look.ask("POST", "/v1/projects", { name: `Harbor ${mark}`, contact: "it@harbor.example" });
  const plan = await look.ask("POST", "/v1/plans", {
    api_id: api.id,
    name: `growth-${mark}`,
    rate_limits: [{ name: "per-minute", limit: 600, window_seconds: 60 }],
    quotas: [{ name: "monthly", limit: 1_000_000, period: "month" }],
  });
  const link = await look.ask("POST", "/v1/activations", { project_id: project.id, api_id: api.id, plan_id: plan.id });
  const key = await look.ask("POST", "/v1/keys", { project_id: project.id, name: `worker-${mark}`, expires_in_days: 5 });
  const webhook = await look.ask("POST", "/v1/webhooks", { url: "http://127.0.0.1:9/hook", events: ["key.*"] });
  for (let n = 0; n < 5; n += 1) {
    await fetch(`${look.gateway}/rooms-${mark}/hello`, { headers: { authorization: `Bearer ${key.key}` } });
  }
  return { apis: api.id, projects: project.id, plans: plan.id, access: link.id, keys: key.id, webhooks: webhook.id };
}

/** Forms that change something, by the person who fills them in. */
async function forms(look, page, made) {
  const mark = Date.now() % 1_000_000;
  const done = async (what) => look.holds(await page.isVisible(".toast"), what);
  await page.goto(`${look.admin}/projects`);
  await page.click("main a.btn.primary");
  await page.waitForSelector("dialog[open]");
  await look.judge(page, "dialog-project");
  await page.fill("dialog [name=name]", `Fjord ${mark}`);
  await page.click("dialog button.primary");
  await page.waitForURL(/\/projects\/prj_/);
  await done("a consumer is made");
  await page.goto(`${look.admin}/plans`);
  await page.click("main .acts a.btn.primary");
  await page.waitForSelector("dialog[open]");
  await look.judge(page, "dialog-plan");
  await page.fill("dialog [name=name]", `free-${mark}`);
  await page.click("dialog button.primary");
  await page.waitForURL(/\/plans\/pln_/);
  await page.goto(`${look.admin}/tokens`);
  await page.click("main .acts a.btn.primary");
  await page.waitForSelector("dialog[open]");
  await page.fill("dialog [name=name]", "deploy");
  await page.click("dialog button.primary");
  await page.waitForSelector("dialog[data-secret]");
  await look.judge(page, "dialog-token-secret");
  const token = (await page.textContent("#secret")).trim();
  const who = await fetch(`${look.admin}/v1/whoami`, { headers: { authorization: `Bearer ${token}` } });
  look.holds(who.status === 200, "a management token works");
  await page.goto(`${look.admin}/team`);
  await page.click("main .acts a.btn.primary");
  await page.waitForSelector("dialog[open]");
  await look.judge(page, "dialog-invite");
  await page.fill("dialog [name=email]", `grace-${mark}@example.com`);
  await page.click("dialog button.primary");
  await page.waitForSelector("dialog [data-secret-text]");
  look.holds((await page.textContent("#secret")).includes("/join#"), "an invitation is a link");
  await page.goto(`${look.admin}/audit`);
  await page.click("main summary >> nth=0");
  await look.judge(page, "audit-entry");
  await page.goto(`${look.admin}/projects/${made.projects}`);
  await page.click(".acts a:has-text('Suspend')");
  await page.waitForSelector("dialog[open]");
  await look.judge(page, "dialog-suspend");
  await page.click("dialog .dfoot button");
  await page.waitForSelector(".acts :text('Resume')");
  await access(look, page);
}

/** An organization of consumers asks; its request is approved. */
async function access(look, page) {
  const mark = Date.now() % 1_000_000;
  const organization = await look.ask("POST", "/v1/organizations", { name: `Alder ${mark}`, kind: "consumer" });
  const invited = await look.ask("POST", "/v1/invitations", { role: "consumer_admin", organization_id: organization.id });
  const email = `alder-${mark}@example.com`;
  const password = "eleven green pianos whisper";
  const [, token] = invited.path.split("#");
  await look.ask("POST", "/v1/invitations/accept", { token, email, name: "Alder", password });
  const login = await look.ask("POST", "/v1/login", { email, password });
  const ask = async (method, path, body) => {
    const headers = { authorization: `Bearer ${login.token}`, "content-type": "application/json" };
    return (await fetch(look.admin + path, { method, headers, body: JSON.stringify(body) })).json();
  };
  const project = await ask("POST", "/v1/projects", { name: `Forest ${mark}` });
  const api = await look.ask("POST", "/v1/apis", { name: `Asked ${mark}`, upstream: look.upstream, path_prefix: `/asked-${mark}` });
  await ask("POST", "/v1/activations", { project_id: project.id, api_id: api.id, note: "For the forest." });
  await page.goto(`${look.admin}/access`);
  look.holds((await page.textContent("main")).includes("For the forest."), "a request says why");
  await look.judge(page, "access-waiting");
  await page.click(`tr:has-text('Forest ${mark}') :text('Approve')`);
  await page.waitForSelector("dialog[open]");
  await look.judge(page, "dialog-approve");
  await page.click("dialog .dfoot button.primary");
  await page.waitForLoadState();
  await page.waitForTimeout(300);
  const approved = await look.ask("GET", `/v1/access?project_id=${project.id}`);
  look.holds(approved.items[0]?.state === "approved", "a request is approved");
}

/** Keys of one letter begin something, until somebody switches them off (WCAG 2.1.4). */
async function letters(look, page) {
  const press = async () => {
    await page.goto(`${look.admin}/keys`);
    await page.keyboard.press("c");
    await page.waitForTimeout(300);
    return page.isVisible("dialog[open]");
  };
  look.holds(await press(), "C begins a key");
  await page.goto(`${look.admin}/settings`);
  await page.uncheck("[data-keys]");
  look.holds(!(await press()), "and does nothing once letters are switched off");
  await page.goto(`${look.admin}/settings`);
  await page.check("[data-keys]");
}

/** What a room costs a browser that has nothing of it. */
async function weigh(look, page, path) {
  const context = await look.browser.newContext({ storageState: await page.context().storageState() });
  const cold = await context.newPage();
  const session = await context.newCDPSession(cold);
  await session.send("Network.enable");
  const fonts = new Set();
  let bytes = 0;
  session.on("Network.responseReceived", ({ requestId, type }) => type === "Font" && fonts.add(requestId));
  session.on("Network.loadingFinished", ({ requestId, encodedDataLength }) => {
    if (!fonts.has(requestId)) bytes += encodedDataLength;
  });
  await cold.goto(look.admin + path);
  await cold.waitForTimeout(200);
  look.holds(bytes > 0 && bytes <= HEAVIEST, `${path} weighs ${bytes} bytes, at most ${HEAVIEST}`);
  await context.close();
}
