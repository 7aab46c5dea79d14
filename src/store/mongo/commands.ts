// The commands that write, sent directly. The driver's own bulk writes wrap every error in one class, and so lose
// whether the command was sent at all. Their retries need sessions, which FerretDB lacks. Every command here may be
// repeated. It is, a bounded number of times, before a write's fate is reported as unknown.

import { type Db, type Document, MongoServerError } from "mongodb";
import { fateOf, storeError, timeLimit, unknownFate } from "./mongo-errors.ts";

/** Number of tries after network failures. Each try waits for a server as long as the client is configured to. */
const maxTries = 3;

/**
 * Write concern of everything that acceptance depends on: the journals of a majority. The server stops waiting before
 * the client does, so that the connection survives.
 */
const durable = { w: "majority", j: true, wtimeout: 6_000 } as const;
/** Write concern of data that can be derived again. */
const derived = { w: 1 } as const;

/**
 * The result of one insert:
 * - `inserted`  this call inserted it
 * - `exists`    another document has the id
 * - `repeated`  a document has the id and may be this one, because an earlier try got no answer
 */
export type InsertAnswer = "inserted" | "exists" | "repeated";

const duplicateKey = 11000;

/**
 * Inserts documents whose `_id` is free. When it resolves, these and the existing ones are durable.
 * @returns an answer for each document, or the error of that document alone
 * @throws SluiceError
 */
export async function insertDocuments(
  db: Db,
  collection: string,
  documents: readonly Document[],
): Promise<(InsertAnswer | Error)[]> {
  const command = { insert: collection, documents, ordered: false, writeConcern: durable };
  const { result, uncertain } = await send(db, command);
  const answers: (InsertAnswer | Error)[] = documents.map(() => "inserted");
  for (const { index, code, errmsg } of result.writeErrors ?? []) {
    if (code !== duplicateKey) answers[index] = storeError(new MongoServerError({ message: errmsg, code }));
    else answers[index] = uncertain ? "repeated" : "exists";
  }
  return answers;
}

export interface Update {
  q: Document;
  u: Document;
  upsert?: boolean;
}

/** Updates derived data: acknowledged by one server, which may lose it. */
export async function updateDerived(db: Db, collection: string, updates: readonly Update[]): Promise<void> {
  throwFirst(await send(db, { update: collection, updates, ordered: false, writeConcern: derived }));
}

/** Replaces or creates one document; durable when it resolves. */
export async function putDocument(db: Db, collection: string, document: Document): Promise<void> {
  const put = { update: collection, updates: [{ q: { _id: document._id }, u: { $set: document }, upsert: true }] };
  const command = { ...put, ordered: false, writeConcern: durable };
  const sent = await send(db, command);
  // If two callers create the document at once, one finds it there. Its second try is an update.
  throwFirst(sent.result.writeErrors?.[0]?.code === duplicateKey ? await send(db, command) : sent);
}

/** Sets fields of the document with this id, if it exists; durable when it resolves. */
export async function setFields(db: Db, collection: string, _id: string, fields: Document): Promise<void> {
  const updates = [{ q: { _id }, u: { $set: fields } }];
  throwFirst(await send(db, { update: collection, updates, ordered: false, writeConcern: durable }));
}

/** Removes documents by their ids; durable when it resolves. */
export async function removeDocuments(db: Db, collection: string, ids: readonly string[]): Promise<void> {
  const deletes = ids.map((_id) => ({ q: { _id }, limit: 1 }));
  throwFirst(await send(db, { delete: collection, deletes, ordered: false, writeConcern: durable }));
}

/** Removes the documents whose ids are in a range (`from` included, `to` not); durable when it resolves. */
export async function removeDocumentsBetween(db: Db, collection: string, from: string, to: string): Promise<void> {
  const deletes = [{ q: { _id: { $gte: from, $lt: to } }, limit: 0 }];
  throwFirst(await send(db, { delete: collection, deletes, ordered: false, writeConcern: durable }));
}

interface Sent {
  result: Document;
  /** Whether an earlier try may have been carried out. */
  uncertain: boolean;
}

async function send(db: Db, command: Document): Promise<Sent> {
  let uncertain = false;
  for (let tries = 1; ; tries++) {
    try {
      return { result: await db.command(command, { signal: timeLimit() }), uncertain };
    } catch (error) {
      const fate = fateOf(error);
      uncertain ||= fate === "unknown";
      if (fate === "unavailable" || fate === "refused" || tries === maxTries) {
        throw uncertain ? unknownFate(error) : storeError(error);
      }
    }
  }
}

function throwFirst({ result }: Sent): void {
  const [first] = result.writeErrors ?? [];
  if (first) throw storeError(new MongoServerError({ message: first.errmsg, code: first.code }));
}
