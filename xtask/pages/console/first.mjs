// From nothing to the first call.
import { enter } from "./session.mjs";

export async function consoleFirst(look) {
  const { page } = await enter(look, "owner");
  const mark = `${look.look.name}-${Date.now() % 100_000}`;
  await look.judge(page, "console-overview");
  await page.goto(`${look.admin}/apis`);
  await look.judge(page, "console-apis");
  await page.click("a:has-text('Add API') >> nth=0");
  await page.waitForSelector("dialog[open]");
  const document = {
    openapi: "3.1.0",
    info: { title: `Weather ${mark}`, version: "2.4.0" },
    servers: [{ url: look.upstream }],
    paths: {
      "/forecast": { get: { tags: ["forecast"], responses: {} } },
      "/stations": { get: { tags: ["stations"], responses: {} }, post: { tags: ["stations"], responses: {} } },
    },
  };
  await page.fill("#openapi", JSON.stringify(document));
  await page.waitForSelector(".found");
  look.holds((await page.textContent(".found")).includes("/stations"), "the document is read as it is pasted");
  await look.judge(page, "console-api-new");
  await page.fill("#path-prefix", "no slash");
  await page.click("dialog button.primary");
  await page.waitForSelector("dialog [role=alert]");
  look.holds((await page.inputValue("#openapi")).includes(mark), "a refusal loses nothing");
  await page.fill("#path-prefix", `/${mark}`);
  await page.check("[name=strip_prefix]");
  await page.selectOption("#permissions", "tags");
  await page.click("dialog button.primary");
  await page.waitForURL(/\/apis\/api_/);
  const api = new URL(page.url()).pathname;
  await look.judge(page, "console-api");
  for (const tab of ["operations", "keys"]) {
    await page.goto(`${look.admin}${api}?tab=${tab}`);
    await look.judge(page, `console-api-${tab}`);
  }
  await page.fill("#key-prefix", "wx");
  await page.click("text=Save");
  await page.waitForSelector(".toast:not([hidden])");
  await page.goto(`${look.admin}/first-call`);
  await look.judge(page, "console-first");
  await page.click("main form button.primary");
  await page.waitForSelector("first-call");
  await page.click("text=Send one with a wrong key");
  await page.waitForSelector("#sent .note");
  await page.click("text=Send it from the server");
  await page.waitForSelector(".wait.live, .wait.refused");
  await look.judge(page, "console-first-live");
  await page.click(".wait a");
  await page.waitForURL(/\/requests\/req_/);
  await look.judge(page, "console-request");
  await page.goto(`${look.admin}/requests`);
  await look.judge(page, "console-requests");
  await live(look, page);
  await page.context().close();
}

/** The log grows on the page, and waits while somebody looks. */
async function live(look, page) {
  await page.waitForFunction(() => document.querySelector("[data-state]")?.textContent === "Live");
  const path = `/live-${Date.now()}`;
  await fetch(look.gateway + path);
  await page.waitForSelector(`td:has-text('${path}')`);
  await page.click("[data-pause]");
  await fetch(`${look.gateway}${path}-paused`);
  await page.waitForFunction(() => document.querySelector("[data-state]")?.textContent.includes("waiting"));
  look.holds((await page.locator(`td:has-text('${path}-paused')`).count()) === 0, "what is paused does not move");
  await page.click("[data-pause]");
  await page.waitForSelector(`td:has-text('${path}-paused')`);
}
