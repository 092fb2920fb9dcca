#!/usr/bin/env node
// Stands in for a native solc where none is installed: the compiler of the npm package `solc`, behind the part of
// solc's command line that brownie uses.
//
//   solc-wasm.js --version
//   solc-wasm.js --standard-json [--allow-paths A,B] [--base-path DIR] < input.json > output.json
//
// Imports that the input does not carry are read from the base path (default: the current directory), and from nowhere
// outside the base path and the allowed paths.
"use strict";

const fs = require("node:fs");
const path = require("node:path");
const { createRequire } = require("node:module");

const MODULE_HOME = path.dirname(fs.realpathSync(__filename));

function fail(message) {
  process.stderr.write(`solc-wasm: ${message}\n`);
  process.exitCode = 1;
}

function parse(argv) {
  const options = { mode: null, basePath: process.cwd(), allowPaths: [] };
  for (let i = 0; i < argv.length; i += 1) {
    const [name, inline] = argv[i].split(/=(.*)/s);
    const value = () => (inline === undefined ? argv[(i += 1)] : inline);
    if (name === "--version" || name === "--standard-json") options.mode = name;
    else if (name === "--base-path") options.basePath = value();
    else if (name === "--allow-paths") options.allowPaths = value().split(",").filter(Boolean);
    else if (name !== "-") throw new Error(`option ${argv[i]} is not supported; only standard JSON is`);
  }
  if (options.mode === null) throw new Error("nothing to do; pass --version or --standard-json");
  return options;
}

function reader(options) {
  const roots = [options.basePath, ...options.allowPaths].filter(fs.existsSync).map((p) => fs.realpathSync(p));
  return (name) => {
    try {
      const file = fs.realpathSync(path.resolve(options.basePath, name));
      const inside = roots.some((root) => file === root || file.startsWith(root + path.sep));
      return inside ? { contents: fs.readFileSync(file, "utf8") } : { error: "File outside of allowed directories." };
    } catch (error) {
      return { error: error.message };
    }
  };
}

function main() {
  const options = parse(process.argv.slice(2));
  const solc = createRequire(path.join(MODULE_HOME, "package.json"))("solc");
  // "0.8.37+commit.x.Emscripten.clang"; readers of a native solc's version expect a native platform.
  const version = solc.version().replace("Emscripten.clang", "Linux.g++");
  const output =
    options.mode === "--version"
      ? `solc, the solidity compiler commandline interface\nVersion: ${version}\n`
      : solc.compile(fs.readFileSync(0, "utf8"), { import: reader(options) });
  // A pipe takes 64 KiB at once: let Node drain it instead of ending the process.
  process.stdout.write(output);
}

try {
  main();
} catch (error) {
  fail(error.message);
}
