// Fails with the Node version that Sluice needs, before a build that an older Node cannot run. Old versions must be able to
// parse this file.
var needed = /(\d+)\.(\d+)/.exec(require("../package.json").engines.node);
var found = process.versions.node.split(".");
if (+found[0] < +needed[1] || (+found[0] === +needed[1] && +found[1] < +needed[2])) {
  console.error(`Sluice needs Node ${needed[0]} or later; this is ${process.versions.node}.`);
  process.exit(1);
}
