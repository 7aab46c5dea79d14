// Builds the dashboard into dist/web. All addresses are relative, because the server writes the base address into the page.
import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { brotliCompressSync, gzipSync } from "node:zlib";
import { defineConfig, type Plugin } from "vite";

/** Writes each asset a second and third time, compressed, so that the server compresses nothing. */
const precompress: Plugin = {
  name: "precompress",
  apply: "build",
  writeBundle({ dir }) {
    const assets = join(dir!, "assets");
    for (const name of readdirSync(assets)) {
      const content = readFileSync(join(assets, name));
      writeFileSync(join(assets, `${name}.gz`), gzipSync(content, { level: 9 }));
      writeFileSync(join(assets, `${name}.br`), brotliCompressSync(content));
    }
  },
};

export default defineConfig({
  root: import.meta.dirname,
  base: "./",
  build: { emptyOutDir: true, target: "es2022", modulePreload: { polyfill: false }, assetsInlineLimit: 0 },
  plugins: [precompress],
});
