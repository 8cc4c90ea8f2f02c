// Looks at the pages in Chromium: what people do with them, and axe in each state, light and wide, dark and narrow. What it
// saw is in pictures beside what cargo builds. Run by `cargo xtask pages`, which says where everything is.
import { mkdirSync, readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { join } from "node:path";

import { consoleFirst } from "./console/first.mjs";
import { consoleKeys } from "./console/keys.mjs";
import { consoleLogin } from "./console/login.mjs";
import { consoleRooms } from "./console/rooms.mjs";
import { handOver } from "./hand_over.mjs";
import { passkeys } from "./passkeys.mjs";
import { identityProvider } from "./provider.mjs";
import { welcome } from "./welcome.mjs";

const { KEYSTILE_MODULES, KEYSTILE_CHROMIUM, KEYSTILE_PICTURES, KEYSTILE_ADMIN, KEYSTILE_AUTHORIZATION, KEYSTILE_GATEWAY, KEYSTILE_ROOM } =
  process.env;
const require = createRequire(join(KEYSTILE_MODULES, "index.js"));
const { chromium } = require("playwright-core");
const axe = readFileSync(require.resolve("axe-core"), "utf8");

const LOOKS = [
  { name: "light", colorScheme: "light", viewport: { width: 1100, height: 700 } },
  { name: "dark", colorScheme: "dark", viewport: { width: 390, height: 844 } },
];

const faults = [];
let seen = 0;

/** What a page's room gets. */
class Look {
  constructor(browser, look) {
    this.browser = browser;
    this.look = look;
    this.admin = KEYSTILE_ADMIN;
    this.gateway = KEYSTILE_GATEWAY;
    // The built-in upstream is three ports further.
    this.upstream = KEYSTILE_ADMIN.replace(/\d+$/, (port) => Number(port) + 3);
    /** Paths that the room expects to be refused. */
    this.refused = new Set();
  }

  /** A page with the server's own content policy in force. Whatever it complains of is a fault. */
  async page() {
    const context = await this.browser.newContext({ ...this.look, name: undefined });
    const page = await context.newPage();
    page.on("console", (message) => {
      // Of what is refused the browser says so too; below it is judged by what was asked for.
      const isRefusal = message.text().startsWith("Failed to load resource");
      if (message.type() === "error" && !isRefusal) this.fault(`${page.url()}: the console says: ${message.text()} (${JSON.stringify(message.location())})`);
    });
    page.on("response", (response) => {
      const path = new URL(response.url()).pathname;
      if (response.status() >= 400 && !this.refused.has(path)) this.fault(`${path} is answered with ${response.status()}`);
    });
    page.on("pageerror", (error) => this.fault(`an error: ${error}`));
    return page;
  }

  /** Asks the management API. */
  async ask(method, path, body) {
    const headers = { authorization: KEYSTILE_AUTHORIZATION, "content-type": "application/json" };
    const answer = await fetch(KEYSTILE_ADMIN + path, { method, headers, body: body && JSON.stringify(body) });
    const text = await answer.text();
    if (!answer.ok) throw new Error(`${method} ${path}: ${answer.status} ${text}`);
    return text ? JSON.parse(text) : undefined;
  }

  /** Where the picture of a state is. */
  picture(state) {
    return join(KEYSTILE_PICTURES, `${this.look.name}-${state}.png`);
  }

  /** Takes a picture of a state and lets axe judge it. axe is put in through the debugger, which no content policy stops. */
  async judge(page, state) {
    await page.screenshot({ path: this.picture(state), fullPage: true });
    const session = await page.context().newCDPSession(page);
    await session.send("Runtime.evaluate", { expression: axe });
    const run = { expression: "axe.run().then((found) => JSON.stringify(found.violations))", awaitPromise: true, returnByValue: true };
    const { result } = await session.send("Runtime.evaluate", run);
    for (const violation of JSON.parse(result.value)) {
      this.fault(`${state}: axe: ${violation.id}: ${violation.help} at ${violation.nodes.map((node) => node.target).join(", ")}`);
    }
    // axe leaves empty style attributes behind, which are not the page's.
    await page.evaluate("document.querySelectorAll('[style=\"\"]').forEach((element) => element.removeAttribute('style'))");
    const overflow = await page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth");
    this.holds(overflow <= 0, `${state}: nothing is wider than the window`);
    seen += 1;
  }

  holds(condition, promise) {
    if (!condition) this.fault(`not so: ${promise}`);
  }

  fault(what) {
    faults.push(`${this.look.name}: ${what}`);
  }
}

mkdirSync(KEYSTILE_PICTURES, { recursive: true });
const browser = await chromium.launch({ executablePath: KEYSTILE_CHROMIUM, args: ["--no-sandbox", "--disable-gpu"] });
try {
  for (const look of LOOKS) {
    const rooms = [handOver, welcome, passkeys, identityProvider, consoleLogin, consoleFirst, consoleKeys, consoleRooms];
    for (const room of rooms.filter(({ name }) => !KEYSTILE_ROOM || name === KEYSTILE_ROOM)) {
      try {
        await room(new Look(browser, look));
      } catch (error) {
        faults.push(`${look.name}: ${room.name} did not come to its end: ${error.stack}`);
      }
    }
  }
} finally {
  await browser.close();
}
for (const fault of faults) console.error(fault);
console.log(`${seen} states seen, ${faults.length} faults`);
process.exitCode = faults.length === 0 && seen > 0 ? 0 : 1;
