// Walks through the page as a person does. usage: walk.mjs CHROMIUM URL PICTURE.png

import { chromium } from "playwright-core";

const [executablePath, url, picture] = process.argv.slice(2);
const quiet = ["--no-sandbox", "--disable-background-networking", "--disable-component-update", "--disable-sync"];
const browser = await chromium.launch({ executablePath, headless: true, args: [...quiet, "--use-gl=angle", "--use-angle=swiftshader", "--enable-unsafe-swiftshader"] });
const wrong = [];
try {
  const tab = await browser.newPage({ viewport: { width: 1280, height: 720 } });
  tab.on("pageerror", (error) => wrong.push(String(error)));
  tab.on("console", (message) => message.type() === "error" && wrong.push(message.text()));
  tab.on("request", (request) => !request.url().startsWith(url) && !/^(data|blob):/.test(request.url()) && wrong.push(`asked elsewhere: ${request.url()}`));
  await tab.goto(url);
  await tab.waitForSelector("body[data-ready]", { timeout: 60_000 });
  await tab.waitForFunction(() => ild.page.mask && ild.viewer.drawing);

  const goTo = (vox) => tab.evaluate((vox) => ild.viewer.goTo(vox), vox);
  const canvas = await tab.locator("#view").boundingBox();
  const at = async (vox) => {
    const place = await tab.evaluate((vox) => ild.viewer.onScreen(vox), vox);
    return [canvas.x + place[0], canvas.y + place[1]];
  };
  const drag = async (from, to) => {
    await tab.mouse.move(...(await at(from)));
    await tab.mouse.down();
    await tab.mouse.move(...(await at(to)), { steps: 6 });
    await tab.mouse.up();
  };
  const steps = (n) => tab.waitForFunction((n) => !document.body.classList.contains("busy") && ild.page.mask.known.some((v) => v) && document.getElementById("undo").disabled === (n === 0), n);

  // A box on the ball, then a point outside it.
  await goTo([18, 34, 6]);
  await tab.waitForFunction(() => document.getElementById("slice").textContent === "slice 7 of 10");
  await tab.keyboard.press("b");
  await drag([6, 22, 6], [30, 46, 6]);
  await steps(1);
  const box = await tab.evaluate(() => ild.marks.box);
  if (!box || [6, 22, 30, 46].some((v, i) => Math.abs(box[i] - v) > 1)) throw new Error(`the box went to ${box}`);
  await tab.keyboard.press("o");
  const [x, y] = await at([2, 2, 6]);
  await tab.mouse.click(x, y);
  await tab.waitForFunction(() => ild.marks.points.length === 1 && !document.body.classList.contains("busy"));
  const first = await tab.evaluate(() => Math.round(ild.page.clickMs));

  // Undo and redo.
  await tab.keyboard.press("Control+z");
  await tab.waitForFunction(() => ild.page.mask.known.every((v) => v === 0));
  await tab.keyboard.press("Control+y");
  await tab.waitForFunction(() => ild.page.mask.known.some((v) => v === 1));

  // Followed through the CT.
  await tab.keyboard.press("f");
  await tab.waitForFunction(() => document.getElementById("said").textContent.includes("slices"), undefined, { timeout: 120_000 });
  await tab.waitForFunction(() => document.getElementById("job").hidden);

  // Painted by hand with the second class.
  const painted = [48, 8, 6];
  await tab.keyboard.press("2");
  await tab.keyboard.press("p");
  await drag(painted, [50, 8, 6]);
  await tab.waitForFunction(() => ild.page.mask.known.some((v) => v === 2));
  await tab.screenshot({ path: picture });

  await tab.keyboard.press("v");
  await tab.keyboard.press("Enter");
  await tab.waitForFunction(() => document.getElementById("said").textContent === "accepted", undefined, { timeout: 60_000 });
  const volumes = await tab.locator("#classes .ml").allTextContents();
  const fits = await tab.evaluate(() => document.documentElement.scrollWidth <= 1280 && document.documentElement.scrollHeight <= 720);
  if (!fits) wrong.push("the page does not fit into 1280 × 720");
  if (wrong.length) throw new Error(wrong.join("\n"));
  console.log(JSON.stringify({ painted: painted.join(","), clickMs: first, volumes }));
} catch (error) {
  const tab = browser.contexts()[0]?.pages()[0];
  await tab?.screenshot({ path: picture }).catch(() => {});
  const said = await tab?.locator("#said").textContent().catch(() => "");
  console.error(error, wrong, said);
  process.exitCode = 1;
} finally {
  await browser.close();
}
