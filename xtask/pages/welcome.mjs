// The links by which people come in and choose a new password.
const PASSWORD = "seven purple lemons dance";

export async function welcome(look) {
  const mark = `${Date.now()}-${Math.random().toString(36).slice(2, 8)}`;
  const email = `ada-${mark}@example.com`;
  const invited = await look.ask("POST", "/v1/invitations", { role: "auditor", email });
  const page = await look.page();
  // Nobody is logged in.
  look.refused.add("/v1/whoami");
  const text = (id) => page.textContent(`#${id}`);

  const asked = [];
  page.on("request", (request) => asked.push(request.url()));
  await page.goto(look.admin + invited.path);
  await page.waitForSelector("#form:not([hidden])");
  look.holds(/auditor/.test(await text("about")), "it says as what");
  look.holds((await page.inputValue("#email")) === email, "the address stands there already");
  look.holds(!asked.some((url) => url.includes("invitation_live_")), "the token is in no address that is asked for");
  await look.judge(page, "join");

  look.refused.add("/v1/invitations/accept");
  await page.fill("#name", "Ada");
  await page.fill("#password", "passwordpassword");
  await page.click("#send");
  await page.waitForSelector("#fault:not([hidden])");
  look.holds(/others would try/.test(await text("fault")), "a poor password is said to be one");
  await look.judge(page, "join-refused");
  await page.fill("#password", PASSWORD);
  await page.check("#show");
  look.holds((await page.getAttribute("#password", "type")) === "text", "it can be looked at");
  await page.click("#send");
  await page.waitForSelector("#next:not([hidden])");
  look.holds((await text("next")).includes(email), "it says how to go on");
  look.holds(!page.url().includes("#"), "the address lets nobody in any more");
  await look.judge(page, "join-done");

  look.refused.add("/v1/invitations/look");
  await page.goto("about:blank");
  await page.goto(look.admin + invited.path);
  await page.waitForFunction(() => document.getElementById("state").textContent === "There is no invitation here");
  look.holds(await page.isHidden("#form"), "a spent invitation offers nothing");
  await look.judge(page, "join-spent");
  await page.goto("about:blank");
  await page.goto(`${look.admin}/join`);
  look.holds((await text("state")) === "The link is not whole", "a link without its end is said to be none");

  const member = (await look.ask("GET", `/v1/members?email=${encodeURIComponent(email)}`)).items[0].id;
  const link = await look.ask("POST", `/v1/members/${member}/reset_password`);
  await page.goto("about:blank");
  await page.goto(look.admin + link.path);
  await look.judge(page, "password");
  await page.fill("#password", "eleven green pianos whisper");
  await page.click("#send");
  await page.waitForFunction(() => document.getElementById("state").textContent === "It is set");
  await look.judge(page, "password-set");
  look.refused.add("/v1/password/reset");
  await page.goto("about:blank");
  await page.goto(look.admin + link.path);
  await page.fill("#password", "eleven green pianos whisper");
  await page.click("#send");
  await page.waitForFunction(() => document.getElementById("state").textContent === "This link leads nowhere");
  await page.context().close();
  await device(look, email, "eleven green pianos whisper");

  const login = await fetch(`${look.admin}/v1/login`, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify({ email, password: "eleven green pianos whisper" }),
  });
  look.holds(login.status === 200, `the new password is one: ${login.status}`);
}

/** A device that shows a code, let in by somebody who logs in for that. */
async function device(look, email, password) {
  const ask = async (path, body) => {
    const headers = { "content-type": "application/json" };
    const answer = await fetch(look.admin + path, { method: "POST", headers, body: JSON.stringify(body) });
    return { status: answer.status, answer: await answer.json() };
  };
  const begun = (await ask("/v1/device/authorize", {})).answer;
  const page = await look.page();
  for (const path of ["/v1/whoami", "/v1/login", "/v1/account/device/look"]) look.refused.add(path);
  await page.goto(look.admin + begun.verification_path_complete);
  await page.waitForSelector("#login:not([hidden])");
  await look.judge(page, "device-login");
  await page.fill("#email", email);
  await page.fill("#password", "not the password at all");
  await page.click("#login button");
  await page.waitForSelector("#fault:not([hidden])");
  await page.fill("#password", password);
  await page.click("#login button");
  await page.waitForSelector("#choose:not([hidden])");
  look.holds((await page.inputValue("#user-code")) === begun.user_code, "the code stands there already");
  await look.judge(page, "device-code");
  await page.fill("#user-code", "BBBB-BBBB");
  await page.click("#choose button");
  await page.waitForSelector("#fault:not([hidden])");
  await page.fill("#user-code", begun.user_code.toLowerCase());
  await page.click("#choose button");
  await page.waitForSelector("#judge:not([hidden])");
  await look.judge(page, "device-judge");
  await page.click("#judge button[type=submit]");
  await page.waitForFunction(() => document.getElementById("state").textContent === "It is in");
  await look.judge(page, "device-in");
  const cookies = await page.context().cookies();
  const cookie = cookies.find(({ name }) => name === "__Host-keystile_session");
  look.holds(cookie?.httpOnly && cookie.secure && cookie.sameSite === "Lax", "the browser keeps the session from scripts");
  look.holds((await page.evaluate("document.cookie")) === "", "and scripts see nothing");
  const polled = await ask("/v1/device/token", { device_code: begun.device_code });
  look.holds(polled.status === 200 && polled.answer.role === "auditor", `the device is in: ${polled.status}`);
  await page.context().close();
}
