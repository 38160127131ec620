// The page: a case is opened, marked, corrected, followed, accepted.

import * as api from "./api.js";
import { bindKeys } from "./keys.js";
import { Marks } from "./marks.js";
import { Mask } from "./mask.js";
import * as panel from "./panel.js";
import { Viewer } from "./viewer.js";

const $ = (id) => document.getElementById(id);
const WINDOWS = [
  ["lung", -600, 1500],
  ["mediastinum", 40, 400],
  ["wide", -300, 2000],
];
// How often the server is asked what others and the model do, ms.
const LOOK = 2000;
const LOOK_AT_WORK = 400;

const viewer = new Viewer($("view"));
const marks = new Marks(viewer, $("overlay"));
const page = { id: undefined, server: undefined, mask: undefined, label: 1, revision: 0, accepted: null, classes: [], busy: 0, windows: [] };

// Does what a person asked for and says what went wrong.
async function attempt(work) {
  page.busy++;
  document.body.classList.add("busy");
  try {
    return await work();
  } catch (error) {
    panel.say(error.message, true);
    if (error.status === 409) await look(true);
  } finally {
    if (--page.busy === 0) document.body.classList.remove("busy");
  }
}

function take(view) {
  page.revision = view.revision;
  page.mask.take(view.slices, viewer.drawing);
  if (view.slices.length) viewer.refresh();
  panel.showVolumes(view);
  panel.showSteps(view);
  panel.showOthers(view.others);
  panel.showJob(view.job);
  if (view.note) panel.say(view.note, true);
}

async function open(id) {
  const server = api.caseOf(id);
  panel.say(`opening ${id} …`);
  Object.assign(page, { id: undefined, server });
  const [told, ct] = await Promise.all([server.open(), server.ct()]);
  if (page.server !== server) return; // somebody chose another one meanwhile
  marks.clear();
  page.classes = told.classes;
  await viewer.show(ct, told.dims, told.classes);
  Object.assign(page, { id: told.id, mask: new Mask(told.dims), accepted: told.accepted, dicom: told.dicom });
  panel.showSeg(page);
  page.windows = [...told.windows.map((w, i) => [i ? `model ${i + 1}` : "model", w.level_hu, w.width_hu]), ...WINDOWS];
  $("windows").replaceChildren(...page.windows.map(([name, level, width], i) => new Option(`${name} ${level}/${width}`, i)));
  setWindow(0);
  panel.showClasses(told.classes, choose);
  choose(told.classes.some(({ id }) => id === page.label) ? page.label : told.classes[0]?.id);
  take(told.view);
  const by = told.about?.who ? ` by ${told.about.who}` : "";
  panel.say(told.accepted ? `accepted before${by}; earlier versions: ${told.earlier}` : told.notes.join("; "));
  history.replaceState(null, "", `#${encodeURIComponent(id)}`);
  await list();
  server.look(viewer.slice).catch(() => {});
}

async function list() {
  const told = await api.cases();
  panel.showCases(told.cases, page.id);
  $("model").textContent = `${told.model.name} ${told.model.sha256.slice(0, 8)}`;
  $("auto").title = told.model.finds ? "lesions that the weights have learned to find" : "dense regions of the lung: these weights name no classes";
  return told.cases;
}

function setWindow(at) {
  const [, level_hu, width_hu] = page.windows[at];
  $("windows").value = at;
  viewer.setWindow({ level_hu, width_hu });
}

function choose(id) {
  page.label = id;
  panel.showChosen(id);
  if (!marks.isEmpty) marks.clear();
  hold(marks.tool);
}

function hold(tool) {
  marks.tool = tool;
  for (const button of document.querySelectorAll("[data-tool]")) button.setAttribute("aria-pressed", String(button.dataset.tool === tool));
  const label = { paint: page.label, erase: 0 }[tool];
  if (viewer.drawing) viewer.paintWith(label, Number($("pen").value));
  $("stage").dataset.tool = tool;
}

// A slice as people count: from 1. Everything else, files and the server, counts from 0.
const counted = (k) => k + 1;

const others = () => ({ over_others: !$("keep").checked });

async function marked() {
  const { k, box, points, object } = marks.asked;
  if (!box && !points.some(({ inside }) => inside)) return panel.say("now a point inside the lesion");
  const start = performance.now();
  const view = await page.server.prompt({ label: page.label, k, box, points, object, ...others() });
  take(view);
  page.clickMs = performance.now() - start;
  if (!view.note) panel.say(`slice ${counted(k)}: ${Math.round(page.clickMs)} ms`);
}

async function painted() {
  const slices = page.mask.changed(viewer.drawing);
  if (slices.length) take(await page.server.paint({ revision: page.revision, slices }));
}

async function step(which) {
  marks.clear();
  take(await page.server[which]());
}

async function follow() {
  const { k, box, points } = marks.asked;
  const from = marks.isEmpty ? { k: viewer.slice } : { k, box, points };
  panel.showJob(await page.server.propagate({ label: page.label, ...from, ...others() }));
  marks.clear();
  await watch();
}

async function auto() {
  panel.showJob(await page.server.auto());
  await watch();
}

// Looks after the job until it has ended, then shows what came of it.
async function watch() {
  const { server } = page;
  for (;;) {
    await new Promise((done) => setTimeout(done, LOOK_AT_WORK));
    if (page.server !== server) return;
    const job = await server.job();
    panel.showJob(job);
    if (job.state === "running") continue;
    await look(true);
    const text = { done: job.notes?.join("; ") || "done", cancelled: "given up; the mask is as it was", failed: job.detail }[job.state];
    return panel.say(text, job.state === "failed");
  }
}

async function accept() {
  const wish = { revision: page.revision, accepted: page.accepted };
  try {
    await page.server.accept(wish);
  } catch (error) {
    if (error.status !== 409 || !error.message.includes("accepted another") || !confirm(`${error.message}. Accept yours?`)) throw error;
    await page.server.accept({ ...wish, replace: true });
  }
  const state = await look(true);
  await list();
  panel.showSeg(page);
  panel.say("accepted");
  return state;
}

async function nextCase() {
  const { id } = await api.next(page.id);
  if (id) await open(id);
  else panel.say("every case has an accepted mask");
}

// What others and the model have done since.
async function look(all = false) {
  const { server } = page;
  if (!page.id) return;
  const told = await server.state(all ? -1 : page.revision);
  if (page.server !== server || !page.mask) return;
  take(told.view);
  if (!told.view.changed || all) page.accepted = told.accepted;
  return told;
}

function wire() {
  const does = { undo: () => step("undo"), redo: () => step("redo"), follow, auto, accept, next: nextCase, cancel: () => page.server.cancel() };
  for (const [id, work] of Object.entries(does)) $(id).addEventListener("click", () => attempt(work));
  for (const button of document.querySelectorAll("[data-tool]")) button.addEventListener("click", () => hold(button.dataset.tool));
  $("clear").addEventListener("click", () => marks.clear());
  $("cases").addEventListener("change", () => attempt(() => open($("cases").value)));
  $("windows").addEventListener("change", () => setWindow(Number($("windows").value)));
  $("pen").addEventListener("input", () => hold(marks.tool));
  $("opacity").addEventListener("input", () => viewer.setOpacity(Number($("opacity").value)));
  $("who").value = localStorage.who ?? "";
  $("who").addEventListener("change", () => (localStorage.who = $("who").value));
  $("dark").addEventListener("click", () => setTheme(document.documentElement.dataset.theme === "dark" ? "light" : "dark"));
  marks.onMarked = () => attempt(marked);
  marks.onWrong = (text) => panel.say(text, true);
  viewer.onDrawn = () => attempt(painted);
  let later;
  viewer.onSlice = (k) => {
    marks.draw();
    $("slice").textContent = `slice ${counted(k)} of ${viewer.dims?.[2] ?? 1}`;
    clearTimeout(later);
    later = setTimeout(() => page.id && page.server.look(k).catch(() => {}), 80);
  };
  addEventListener("resize", () => marks.draw());
  addEventListener("beforeunload", (event) => page.busy && event.preventDefault());
  bindKeys({
    tool: hold,
    click: (id) => $(id).click(),
    label: (at) => page.classes[at] && choose(page.classes[at].id),
    slices: (n) => viewer.step(n),
    clear: () => marks.clear(),
    pen: (by) => {
      $("pen").value = Number($("pen").value) + by;
      hold(marks.tool);
    },
    window: () => setWindow((Number($("windows").value) + 1) % page.windows.length),
  });
  setInterval(() => !page.busy && !document.hidden && look().catch((error) => panel.say(error.message, true)), LOOK);
}

function setTheme(theme) {
  document.documentElement.dataset.theme = localStorage.theme = theme;
}

async function start() {
  setTheme(localStorage.theme ?? (matchMedia("(prefers-color-scheme: light)").matches ? "light" : "dark"));
  wire();
  hold("look");
  await viewer.attach();
  const cases = await list();
  const wanted = decodeURIComponent(location.hash.slice(1));
  const first = cases.find(({ id }) => id === wanted)?.id ?? (await api.next()).id ?? cases[0]?.id;
  if (first) await open(first);
  document.body.dataset.ready = "";
}

// For tests: where a voxel is on the screen, and how the page stands.
globalThis.ild = { viewer, marks, page };
attempt(start);
