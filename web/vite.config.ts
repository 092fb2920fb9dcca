import { fileURLToPath } from "node:url";
import { defineConfig } from "vite";

// The built folder works under any path, also /ipfs/<cid>/, and has the same bytes wherever it is built.
export default defineConfig({
  base: "./",
  resolve: {
    // The names of built files must not tell where the packages are installed.
    preserveSymlinks: true,
    // What the page shares with an audit's report lies elsewhere, and takes its hashes from here.
    alias: [
      {
        find: /^@noble\/hashes\/(.+\.js)$/,
        replacement: fileURLToPath(new URL("node_modules/@noble/hashes/$1", import.meta.url)),
      },
    ],
  },
  build: {
    outDir: "../llamafund_chain/web/site",
    emptyOutDir: true,
    target: "es2022",
    // Small files as data: URLs would break the page's content security policy.
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
    // What the built files contain of others, with their licenses.
    license: { fileName: "licenses.md" },
  },
});
