// The browser of the tests, for the scripts beside this one.

import { accessSync, constants } from "node:fs";
import { delimiter, join } from "node:path";
import { chromium } from "playwright-core";

const INSTALLED = ["chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "microsoft-edge"];

/** The browser that is there, else the one that came with node_modules. */
async function findBrowser() {
  for (const name of INSTALLED) {
    for (const folder of (process.env.PATH ?? "").split(delimiter)) {
      const path = join(folder, name);
      try {
        accessSync(path, constants.X_OK);
        return { executablePath: path, args: ["--no-sandbox"] };
      } catch {
        // Not in this folder.
      }
    }
  }
  const { default: packed } = await import("@sparticuz/chromium");
  // In one process the browser ends with its first window, and a page's rules should hold as at home.
  const args = packed.args.filter((one) => !["--single-process", "--disable-web-security"].includes(one));
  return { executablePath: await packed.executablePath(), args };
}

/** A running browser, or `null` and why there is none. */
export async function start() {
  try {
    return { browser: await chromium.launch({ ...(await findBrowser()), headless: true }), why: "" };
  } catch (error) {
    return { browser: null, why: String(error).split("\n")[0] };
  }
}
