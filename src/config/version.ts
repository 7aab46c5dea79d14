// The version of Sluice.
import { readFileSync } from "node:fs";

const file = readFileSync(new URL("../../package.json", import.meta.url), "utf8");

/** Version from package.json. */
export const { version } = JSON.parse(file) as { version: string };
