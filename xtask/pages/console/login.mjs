// The way into the console and out of it.
import { PASSWORD, enter, logIn, member } from "./session.mjs";

export async function consoleLogin(look) {
  const email = await member(look, "admin");
  const page = await look.page();
  await page.goto(`${look.admin}/keys?state=active`);
  look.holds(page.url().includes("/login?next=%2Fkeys%3Fstate%3Dactive"), "whoever is not in is sent to log in");
  await look.judge(page, "console-login");
  look.refused.add("/login");
  await logIn(page, email, "not the password at all");
  await page.waitForSelector("[role=alert]");
  look.holds((await page.inputValue("#email")) === email, "the address is not typed twice");
  await look.judge(page, "console-login-refused");
  await page.fill("#password", PASSWORD);
  await page.click("form button.primary");
  await page.waitForURL(/\/keys\?state=active$/);
  const cookies = await page.context().cookies();
  const session = cookies.find(({ name }) => name === "__Host-keystile_session");
  look.holds(session?.httpOnly && session.secure && session.sameSite === "Lax", "no script sees the session");
  await page.goto(`${look.admin}/`);
  await leave(look, page);
  look.holds(page.url().endsWith("/login"), "whoever leaves is out");
  await page.goto(`${look.admin}/keys`);
  look.holds(page.url().includes("/login"), "and stays out");
  await page.context().close();
  await elsewhere(look);
  await denied(look);
}

async function leave(look, page) {
  if (await page.isVisible("[data-side]")) await page.click("[data-side]");
  await page.click("form[action='/logout'] button");
  await page.waitForURL(/\/login$/);
}

/** A form of another site changes nothing (S-6). */
async function elsewhere(look) {
  const { page } = await enter(look, "admin");
  const cookies = (await page.context().cookies()).map(({ name, value }) => `${name}=${value}`).join("; ");
  const send = (site) =>
    fetch(`${look.admin}/keys`, {
      method: "POST",
      redirect: "manual",
      headers: { cookie: cookies, "content-type": "application/x-www-form-urlencoded", "sec-fetch-site": site },
      body: "name=stolen&project_id=new&days=30",
    });
  const refused = await send("cross-site");
  look.holds(!(await refused.text()).includes("Save your new key"), "a form of another site makes no key");
  await page.context().close();
}

/** Whoever may not see a page is told so, and what to ask for. */
async function denied(look) {
  const role = await look.ask("POST", "/v1/member_roles", { name: `keys-${Date.now()}`, permissions: ["keys.read"] });
  const { page } = await enter(look, role.id, "/keys");
  look.holds((await page.locator(".nav a").allTextContents()).join().includes("API keys"), "the side shows what one may");
  look.holds(!(await page.locator(".nav a").allTextContents()).join().includes("Usage"), "and nothing else");
  look.holds((await page.locator("text=Create key").count()) === 0, "nothing is offered that would be refused");
  look.refused.add("/requests");
  await page.goto(`${look.admin}/requests`);
  look.holds((await page.textContent("h1")) === "You may not see this", "a page that one may not see says so");
  await look.judge(page, "console-denied");
  look.refused.add("/keys/key_0000000000000000000000");
  await page.goto(`${look.admin}/keys/key_0000000000000000000000`);
  look.holds(/no such/i.test(await page.textContent("main")), "what is not there is told from that");
  await look.judge(page, "console-missing");
  await page.context().close();
}
