// A headless Chromium, POLYSOCKET_BROWSER or Debian's, and its pages. Each has
// a profile of its own, so that pages share nothing.
"use strict";

const { chromium } = require("playwright-core");
const serve = require("./requests.cjs");

const TIMEOUT_MS = 30000;
const pages = [];
let browser;

const handlers = {
  async open({ url }) {
    const context = await browser.newContext();
    const page = await context.newPage();
    page.setDefaultTimeout(TIMEOUT_MS);
    page.said = [];     // on its console, which tells what went wrong
    page.on("console", message => page.said.push(message.text()));
    page.on("pageerror", error => page.said.push(String(error)));
    await page.goto(url);
    return pages.push(page) - 1;
  },
  // Strings go through as JSON both ways: half of a surrogate pair would not
  // survive otherwise.
  async evaluate({ page, script }) {
    return JSON.parse(await pages[page].evaluate(
      `(async () => JSON.stringify(await (${script}) ?? null))()`));
  },
  async wait({ page, script }) {
    await pages[page].waitForFunction(script);
  },
  async fill({ page, selector, text }) {
    await pages[page].fill(selector, text);
    await pages[page].press(selector, "Enter");
  },
  said: ({ page }) => pages[page].said,
  async close({ page }) {
    await pages[page].context().close();
  },
  version: () => browser.version(),
};

async function main() {
  browser = await chromium.launch({
    executablePath: process.env.POLYSOCKET_BROWSER || "/usr/bin/chromium",
    // Nobody else's pages are opened, and as root there is no sandbox.
    args: process.getuid() === 0 ? ["--no-sandbox"] : [],
  });
  await serve(handlers).finally(() => browser.close());
}

main().catch(error => {
  console.error(error);
  process.exitCode = 1;
});
