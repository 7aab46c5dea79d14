// The checks of MongoDB: reachable, kind and version, majority, write concern, TLS, clock.
import { maskSecrets } from "../../config/secret-hider.ts";
import { inspectMongo, type MongoFacts } from "../../store/mongo/inspect-mongo.ts";
import { clockFinding, type Finding, fix, isAtLeast, isLocalAddress, note, ok, skip } from "./findings.ts";

const timeoutMs = 3_000;

export async function checkMongo(url: string): Promise<Finding[]> {
  let facts: MongoFacts;
  try {
    facts = await inspectMongo(url, timeoutMs);
  } catch (error) {
    return [unusable(error as Error, url)];
  }
  return mongoFindings(facts, url);
}

/** Judges what a server told. Pure. */
export function mongoFindings(facts: MongoFacts, url: string): Finding[] {
  return [
    ok("mongodb", "MongoDB answers at MONGODB_URL."),
    versionFinding(facts),
    majorityFinding(facts),
    writeConcernFinding(facts),
    tlsFinding(facts, url),
    facts.clockAheadMs === undefined
      ? skip("mongodb clock", "The server does not tell its time.")
      : clockFinding("mongodb clock", "MongoDB", facts.clockAheadMs),
  ];
}

function unusable({ name, message }: Error, url: string): Finding {
  const words = maskSecrets(message).replace(/\.$/, "");
  if (/auth|SCRAM|credential/i.test(`${name} ${message}`)) {
    return fix("mongodb", `MongoDB refused the login (${words}). Check user, password and authSource in MONGODB_URL.`);
  }
  if (/certificate|self.signed|unable to verify|altnames/i.test(message)) {
    return fix(
      "mongodb tls",
      `The certificate of MongoDB is not trusted (${words}). Add tlsCAFile=FILE to MONGODB_URL, and use the host name of the certificate.`,
    );
  }
  // A server without TLS closes a connection that begins with it, or waits for more of it.
  const asksTls = /[?&](tls|ssl)=true/i.test(url) || url.startsWith("mongodb+srv:");
  if (
    /SSL|TLS|wrong version number|secure/i.test(message) ||
    (asksTls && /closed|ECONNRESET|timed out/.test(message))
  ) {
    return fix(
      "mongodb tls",
      `MongoDB refused TLS or does not run (${words}). Check that it runs, and tls=true or tls=false in MONGODB_URL against the server.`,
    );
  }
  if (/parse|invalid|option|not supported|must/i.test(name + message) && !/ECONN|ENOTFOUND|timed out/.test(message)) {
    return fix(
      "mongodb",
      `MONGODB_URL is not usable (${words}). Write it like mongodb://user:password@host:27017/?replicaSet=rs0.`,
    );
  }
  return fix(
    "mongodb",
    `MongoDB cannot be reached (${words}). Start it, check hosts, port and replicaSet in MONGODB_URL, and allow the connection in the firewall.`,
  );
}

function versionFinding({ kind, version }: MongoFacts): Finding {
  const name = `${kind} ${version}`;
  if (kind === "FerretDB") {
    return note(
      "mongodb version",
      `The server is ${name}, a stand-in for tests. For production, use MongoDB 6 or later.`,
    );
  }
  if (kind === "Amazon DocumentDB") {
    return note("mongodb version", `The server is ${name}. Sluice is tested with MongoDB 6 or later.`);
  }
  return isAtLeast(version, 6, 0) === false
    ? fix("mongodb version", `The server is ${name}. Sluice needs MongoDB 6 or later: upgrade it.`)
    : ok("mongodb version", `The server is ${name}.`);
}

function majorityFinding({ kind, isReplicated, isPrimary }: MongoFacts): Finding {
  if (!isPrimary)
    return fix("mongodb majority", "The server takes no writes. Name all members and replicaSet in MONGODB_URL.");
  if (isReplicated) return ok("mongodb majority", "The server is a replica set, so a majority confirms each write.");
  return kind === "FerretDB"
    ? note("mongodb majority", "FerretDB has no members, so one server confirms each write.")
    : fix(
        "mongodb majority",
        "The server stands alone, so no other member has the accepted jobs if its disk is lost. Start mongod with --replSet rs0, run rs.initiate(), and add members.",
      );
}

function writeConcernFinding({ writeConcern: w }: MongoFacts): Finding {
  const own = "Sluice writes with w=majority and j=true";
  if (w === undefined || w === "majority") return ok("mongodb write concern", `${own}.`);
  return note("mongodb write concern", `${own}; w=${w} in MONGODB_URL has no effect. Remove it.`);
}

function tlsFinding({ usesTls }: MongoFacts, url: string): Finding {
  if (usesTls) return ok("mongodb tls", "The connection uses TLS.");
  return isLocalAddress(url)
    ? ok("mongodb tls", "MongoDB is on this machine, so it needs no TLS.")
    : note(
        "mongodb tls",
        "The connection is not encrypted. Unless the network is private, add tls=true to MONGODB_URL.",
      );
}
