// Which version of Sluice this is.
import { readFileSync } from "node:fs";

const file = readFileSync(new URL("../../package.json", import.meta.url), "utf8");

/** As in package.json. */
export const { version } = JSON.parse(file) as { version: string };
