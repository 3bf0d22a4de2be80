// Finishes the declarations of a build: imports as who installs the package resolves them, and of the API's types the
// schemas alone, which are all that the package speaks of.
import { readdirSync, readFileSync, writeFileSync } from "node:fs";

const dist = new URL("../dist/", import.meta.url);

for (const name of readdirSync(dist).filter((file) => file.endsWith(".d.ts"))) {
  const text = readFileSync(new URL(name, dist), "utf8");
  writeFileSync(new URL(name, dist), text.replace(/(from ")(\.\/[\w-]+?)(\.d)?\.ts"/g, '$1$2.js"'));
}

const api = readFileSync(new URL("../src/api.d.ts", import.meta.url), "utf8");
const schemas = /^ {4}schemas: \{$[\s\S]*?^ {4}\};$/m.exec(api)?.[0];
if (!schemas) throw new Error("src/api.d.ts has no schemas");
writeFileSync(
  new URL("api.d.ts", dist),
  `/* The schemas of Resonance's OpenAPI document. */\nexport interface components {\n${schemas}\n}\n`,
);
