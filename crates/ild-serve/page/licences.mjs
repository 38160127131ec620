// Puts the page and the licences of what it is built from into dist/.

import { copyFileSync, existsSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";

copyFileSync("src/index.html", "dist/index.html");

const bundled = new Set();
(function collect(name) {
  if (bundled.has(name)) return;
  bundled.add(name);
  const about = JSON.parse(readFileSync(join("node_modules", name, "package.json"), "utf8"));
  Object.keys(about.dependencies ?? {})
    .filter((dependency) => existsSync(join("node_modules", dependency)))
    .forEach(collect);
})("@niivue/niivue");

const texts = [...bundled].sort().map((name) => {
  const folder = join("node_modules", name);
  const about = JSON.parse(readFileSync(join(folder, "package.json"), "utf8"));
  const files = readdirSync(folder).filter((file) => /^(licen[cs]e|copying|notice)/i.test(file));
  const text = files.map((file) => readFileSync(join(folder, file), "utf8").trim()).join("\n\n");
  return `${name} ${about.version} (${about.license ?? "see its page"})\n\n${text}\n`;
});
writeFileSync("dist/licences.txt", texts.join(`\n${"-".repeat(80)}\n\n`));
