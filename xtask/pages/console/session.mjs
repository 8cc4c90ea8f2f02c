// Somebody who is logged in at the console, and what its pages must be whatever they show.
const PASSWORD = "seven purple lemons dance";

/** A member of this role, made by an invitation; its address. */
export async function member(look, role) {
  const email = `${role}-${Date.now()}-${Math.random().toString(36).slice(2, 8)}@example.com`;
  const invited = await look.ask("POST", "/v1/invitations", { role, email });
  const [, token] = invited.path.split("#");
  await look.ask("POST", "/v1/invitations/accept", { token, email, name: "Ada Lovelace", password: PASSWORD });
  return email;
}

/** A page on which somebody of this role is logged in, by the form. */
export async function enter(look, role, path = "/") {
  const email = await member(look, role);
  const page = await look.page();
  await page.goto(`${look.admin}/login?next=${encodeURIComponent(path)}`);
  await logIn(page, email);
  await page.waitForURL(look.admin + path);
  return { page, email };
}

export async function logIn(page, email, password = PASSWORD) {
  await page.fill("#email", email);
  await page.fill("#password", password);
  await page.click("form button.primary");
}

export { PASSWORD };
