// The Security Token Service, as far as roles are assumed with it. It reads a form and returns XML. The simulator
// accepts the credentials that it issues.
import { randomBytes } from "node:crypto";
import type { Authenticator } from "./aws-authentication.ts";
import type { SimulatedAccount } from "./simulated-account.ts";
import type { Service } from "./simulator-server.ts";

export interface TokenServiceContext {
  account: SimulatedAccount;
  authenticator: Authenticator;
  nextRequestId: () => string;
}

const sessionMs = 3_600_000;

export function tokenService({ account, authenticator, nextRequestId }: TokenServiceContext): Service {
  return ({ method, path, headers }) => {
    const isForm = headers["content-type"]?.startsWith("application/x-www-form-urlencoded");
    if (method !== "POST" || path !== "/" || !isForm) return undefined;
    return async (exchange) => {
      const body = await exchange.readBody();
      authenticator.authenticate(exchange.request, body, "sts");
      const form = new URLSearchParams(body.toString());
      const role = form.get("RoleArn") ?? "";
      const known = account.roles ? account.roles[role] : {};
      const isAllowed =
        form.get("Action") === "AssumeRole" && known && (known.externalId ?? null) === (form.get("ExternalId") ?? null);
      if (!isAllowed) {
        const message = `User: arn:aws:iam::123456789012:user/simulated is not authorized to perform: sts:AssumeRole on resource: ${escapeXml(role)}`;
        const error = `<Error><Type>Sender</Type><Code>AccessDenied</Code><Message>${message}</Message></Error>`;
        const xml = `<ErrorResponse>${error}<RequestId>${nextRequestId()}</RequestId></ErrorResponse>`;
        exchange.send(403, { "content-type": "text/xml" }, xml);
        return;
      }
      const issued = {
        accessKeyId: `ASIA${randomBytes(8).toString("hex").toUpperCase()}`,
        secretAccessKey: randomBytes(30).toString("base64"),
        sessionToken: randomBytes(60).toString("base64"),
      };
      authenticator.set({ ...issued, account: role.split(":")[4] });
      const credentials =
        `<AccessKeyId>${issued.accessKeyId}</AccessKeyId><SecretAccessKey>${issued.secretAccessKey}</SecretAccessKey>` +
        `<SessionToken>${issued.sessionToken}</SessionToken>` +
        `<Expiration>${new Date(Date.now() + sessionMs).toISOString()}</Expiration>`;
      const user = `<AssumedRoleUser><AssumedRoleId>AROASIMULATED:sluice</AssumedRoleId><Arn>${escapeXml(role)}</Arn></AssumedRoleUser>`;
      exchange.send(
        200,
        { "content-type": "text/xml" },
        `<AssumeRoleResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><AssumeRoleResult>${user}` +
          `<Credentials>${credentials}</Credentials></AssumeRoleResult>` +
          `<ResponseMetadata><RequestId>${nextRequestId()}</RequestId></ResponseMetadata></AssumeRoleResponse>`,
      );
    };
  };
}

function escapeXml(text: string): string {
  return text.replace(/[<>&"']/g, (c) => `&#${c.charCodeAt(0)};`);
}
