// The compiler leaves alone what is not TypeScript: the Lua scripts go beside the compiled code as they are.
import { cpSync } from "node:fs";

const folder = "scheduler/redis/lua";
cpSync(`src/${folder}`, `dist/${folder}`, { recursive: true });
