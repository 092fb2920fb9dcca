// Visits pages of a site, searches it, and prints, as JSON, what was asked of any other server, and what went wrong.
// Of a drawing it also prints the words that reach out of their box, or of the drawing.
//
//     node tests/browser/visit.mjs http://127.0.0.1:PORT/ PATH...
//
// Without any browser it prints {"browser": null, "why": …}.

import { start } from "./start.mjs";

/** Milliseconds after which something hangs, on a machine that does much else. */
const PATIENCE = 300_000;

/** Words of a drawing that do not fit. */
function wordsOutside() {
  return [...document.querySelectorAll("text")]
    .filter((text) => {
      const frame = (text.closest(".box") ?? document).querySelector("rect").getBoundingClientRect();
      const words = text.getBoundingClientRect();
      return words.left < frame.left || words.right > frame.right || words.top < frame.top || words.bottom > frame.bottom;
    })
    .map((text) => text.textContent);
}

const [home, ...paths] = process.argv.slice(2);
const { browser, why } = await start();
if (!browser) {
  console.log(JSON.stringify({ browser: null, why }));
} else {
  const context = await browser.newContext();
  context.setDefaultTimeout(PATIENCE);
  const page = await context.newPage();
  const outside = [];
  const errors = [];
  let asked = 0;
  // The context's, so that a worker's requests count too.
  context.on("request", (request) => {
    asked += 1;
    const here = request.url().startsWith(home) || /^(data|blob):/.test(request.url());
    if (!here) outside.push(`${page.url()}: ${request.url()}`);
  });
  page.on("pageerror", (error) => errors.push(`${page.url()}: ${error}`));
  for (const path of paths) {
    await page.goto(home + path, { waitUntil: "load" });
    if (path.endsWith(".svg")) errors.push(...(await page.evaluate(wordsOutside)).map((words) => `${path}: ${words}`));
  }
  await page.goto(home, { waitUntil: "load" });
  const words = page.locator("input:not([type=radio]):not([type=checkbox]):visible");
  // The page may not listen yet.
  for (const until = Date.now() + PATIENCE; Date.now() < until && !(await words.count()); ) {
    await page.keyboard.press("/");
    await page.waitForTimeout(100);
  }
  await words.first().fill("challenge window");
  await page.locator("a:visible", { hasText: /challenge/i }).first().waitFor();
  await browser.close();
  console.log(JSON.stringify({ browser: "found", asked, outside, errors }));
}
