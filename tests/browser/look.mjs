// Opens pages from file:// in a real browser and prints, as JSON, what a reader would meet.
//
//     node tests/browser/look.mjs JOBS.json
//
// JOBS.json: {"pages": [{"name", "path", "verify", "brief"}], "shots": folder or null}. With "verify", the page's own
// check is run too; with "brief", nothing else. Without any browser it prints {"browser": null, "why": …}.

import { createRequire } from "node:module";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { start } from "./start.mjs";

const WIDTHS = [360, 1280];
const SCHEMES = ["light", "dark"];
const axe = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");

/** One page at one width and in one colour scheme. */
async function look(browser, job, width, colorScheme, shots) {
  const context = await browser.newContext({ viewport: { width, height: 900 }, colorScheme });
  const page = await context.newPage();
  const url = pathToFileURL(job.path).href;
  const seen = { width, colorScheme, errors: [], requests: [] };
  page.on("console", (message) => message.type() === "error" && seen.errors.push(message.text()));
  page.on("pageerror", (error) => seen.errors.push(String(error)));
  page.on("request", (request) => request.url() !== url && seen.requests.push(request.url().slice(0, 200)));
  await page.goto(url);
  if (job.brief) {
    seen.proof = await proof(page);
    await context.close();
    return seen;
  }
  if (shots) await page.screenshot({ path: join(shots, `${job.name}-${width}-${colorScheme}.png`), fullPage: true });
  seen.wide = await page.evaluate(cutOff);
  await page.emulateMedia({ media: "print" });
  seen.print = await page.evaluate(() => {
    const checks = [...document.querySelectorAll(".group .check")];
    const shown = checks.filter((one) => one.checkVisibility() && one.getBoundingClientRect().height > 0);
    const amounts = [...document.querySelectorAll(".exact > span")];
    return { checks: checks.length, shown: shown.length, hiddenAmounts: amounts.filter((one) => !one.checkVisibility()).length };
  });
  await page.emulateMedia({ media: "screen" });
  if (job.verify) {
    seen.proof = await proof(page);
    if (shots) await page.screenshot({ path: join(shots, `${job.name}-${width}-${colorScheme}-verified.png`), fullPage: true });
  }
  await page.evaluate(() => document.querySelectorAll("details").forEach((one) => (one.open = true)));
  seen.wideOpen = await page.evaluate(cutOff);
  await page.evaluate(axe);
  seen.axe = await page.evaluate(async () => {
    const { violations } = await window.axe.run(document);
    return violations.map((one) => `${one.id}: ${one.nodes.slice(0, 3).map((node) => `${node.html.slice(0, 120)} ${node.failureSummary}`).join(" | ")}`);
  });
  await context.close();
  return seen;
}

/** What the page finds when it checks itself. */
async function proof(page) {
  await page.click("#verify");
  await page.waitForSelector("#proof[data-outcome]");
  return page.evaluate(() => ({
    outcome: document.querySelector("#proof").dataset.outcome,
    items: [...document.querySelectorAll("#proof li")].map((one) => ({ item: one.dataset.item, status: one.dataset.status, text: one.innerText })),
  }));
}

/** What reaches beyond the window, so that a reader would have to scroll sideways, or not see it. */
function cutOff() {
  const limit = document.documentElement.clientWidth;
  const found = [...document.querySelectorAll("body *")].filter((one) => {
    if (one.closest("svg") || one.closest(".hidden") || !one.checkVisibility()) return false;
    return one.getBoundingClientRect().right > limit + 0.5 || one.scrollWidth > one.clientWidth + 1 && one.clientWidth > 0;
  });
  const scrolls = document.documentElement.scrollWidth > limit ? ["the page"] : [];
  return [...scrolls, ...found.slice(0, 5).map((one) => one.outerHTML.slice(0, 160))];
}

const { pages, shots } = JSON.parse(readFileSync(process.argv[2], "utf8"));
const { browser, why } = await start();
if (!browser) {
  console.log(JSON.stringify({ browser: null, why }));
} else {
  const results = {};
  for (const job of pages) {
    results[job.name] = [];
    for (const width of job.widths ?? WIDTHS) {
      for (const scheme of job.schemes ?? SCHEMES) results[job.name].push(await look(browser, job, width, scheme, shots));
    }
  }
  await browser.close();
  console.log(JSON.stringify({ browser: "found", pages: results }));
}
