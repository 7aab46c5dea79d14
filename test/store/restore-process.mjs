// Restores a backup, or opens a data folder, and kills itself before its nth change of the file system:
//
//   node restore-process.mjs restore DATA_DIR BACKUP N
//   node restore-process.mjs open DATA_DIR - N
import fs from "node:fs";
import { syncBuiltinESMExports } from "node:module";

const [task, dataDir, folder, n] = process.argv.slice(2);
let left = Number(n);

function killing(real) {
  return (...args) => {
    if (--left <= 0) process.kill(process.pid, "SIGKILL");
    return real(...args);
  };
}

for (const name of ["mkdirSync", "renameSync", "rmSync", "rmdirSync", "fsyncSync", "createWriteStream"]) {
  fs[name] = killing(fs[name]);
}
fs.promises.open = killing(fs.promises.open);
syncBuiltinESMExports();

if (task === "restore") {
  const { checkBackup, restoreBackup } = await import("../../dist/store/sqlite/backup/restore-backup.js");
  const manifest = await checkBackup({ folder, version: "1.2.3" });
  await restoreBackup({ folder, manifest, dataDir, clock: { wall: Date.now } });
} else {
  const { finishRestore } = await import("../../dist/store/sqlite/backup/finish-restore.js");
  finishRestore(dataDir);
}
