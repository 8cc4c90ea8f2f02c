// The front page of the management port.
export async function front(look) {
  const page = await look.page();
  const answer = await page.goto(`${look.admin}/`);
  look.holds(answer.status() === 200, "the front page is there");
  look.holds((await page.title()) !== "", "it has a title");
  await look.judge(page, "front");
  await page.context().close();
}
