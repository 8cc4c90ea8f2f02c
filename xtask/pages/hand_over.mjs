// A link that hands a key over: it waits, is opened once, and leads to nothing from then on.
export async function handOver(look) {
  const project = (await look.ask("GET", "/v1/projects?limit=1")).items[0].id;
  const made = await look.ask("POST", "/v1/keys", {
    project_id: project,
    name: "for <b>you</b>",
    hand_over_hours: 1,
    expires_in_days: 7,
  });
  const link = look.admin + made.hand_over.path;
  const page = await look.page();
  const text = (id) => page.textContent(`#${id}`);

  const asked = [];
  page.on("request", (request) => asked.push(request.url()));
  await page.goto(link);
  look.holds((await text("state")) === "The key waits", "the key waits");
  look.holds(!asked.some((url) => url.includes(made.hand_over.path.split("#")[1])), "what opens it is sent nowhere yet");
  await look.judge(page, "hand-over-waits");

  await page.click("#show");
  await page.waitForSelector("#key:not([hidden])");
  const key = (await text("key")).trim();
  look.holds(/^ks_live_/.test(key), `it is a key: ${key.slice(0, 8)}`);
  look.holds((await text("state")) === "for <b>you</b>", "its name is text, not markup");
  look.holds(!page.url().includes("#"), "the address opens nothing any more");
  look.holds(await page.isHidden("#show"), "it can't be shown twice");
  look.holds(await page.evaluate(() => document.activeElement.id === "key"), "the key has the focus");
  await look.judge(page, "hand-over-shown");
  await page.click("#copy");
  await page.waitForFunction(() => /copy it|Copied/.test(document.getElementById("copy").textContent));
  const call = await fetch(`${look.gateway}/anything`, { headers: { authorization: `Bearer ${key}` } });
  look.holds(call.status !== 401, `the key is one: ${call.status}`);

  look.refused.add("/hand-over");
  await page.goto("about:blank");
  await page.goto(link);
  await page.click("#show");
  await page.waitForFunction(() => document.getElementById("state").textContent === "There is no key here");
  look.holds(await page.isHidden("#show"), "a spent link offers nothing to press");
  look.holds(await page.isHidden("#key"), "and shows nothing");
  await look.judge(page, "hand-over-spent");

  await page.goto("about:blank");
  await page.goto(`${look.admin}/hand-over`);
  look.holds((await text("state")) === "The link is not whole", "a link without its end is said to be none");
  look.holds(await page.isHidden("#show"), "nothing can be pressed then");
  await look.judge(page, "hand-over-broken");
  await page.context().close();
}
