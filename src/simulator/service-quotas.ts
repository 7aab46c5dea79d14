// Service Quotas, as far as limits are read from it: ListServiceQuotas (values applied to the account) and
// ListAWSDefaultServiceQuotas, in pages. JSON 1.1: a header names the operation.

import type { Authenticator } from "./aws-authentication.ts";
import { BedrockError } from "./aws-errors.ts";
import { pageOf } from "./control-plane.ts";
import { listedRows, type SimulatedAccount } from "./simulated-account.ts";
import type { Service } from "./simulator-server.ts";

export interface ServiceQuotasContext {
  account: SimulatedAccount;
  /** Limits that the quotas of every model count, if any. They are listed as applied. */
  counted: { requestsPerMinute?: number; tokensPerMinute?: number };
  authenticator: Authenticator;
}

const target = "ServiceQuotasV20190624.";

export function serviceQuotasService({ account, counted, authenticator }: ServiceQuotasContext): Service {
  const rows = listedRows(account, counted);
  return ({ method, path, headers }) => {
    const asked = headers["x-amz-target"];
    if (method !== "POST" || path !== "/" || typeof asked !== "string" || !asked.startsWith(target)) return undefined;
    return async (exchange) => {
      const body = await exchange.readBody();
      const { region = "us-east-1" } = authenticator.authenticate(exchange.request, body, "servicequotas");
      const operation = asked.slice(target.length);
      if (account.denied) {
        throw new BedrockError(
          "AccessDeniedException",
          `User is not authorized to perform: servicequotas:${operation}`,
        );
      }
      const { ServiceCode, MaxResults, NextToken } = JSON.parse(body.toString()) as Record<string, unknown>;
      const isDefault = operation === "ListAWSDefaultServiceQuotas";
      if (!isDefault && operation !== "ListServiceQuotas") {
        throw new BedrockError(
          "UnknownOperationException",
          "The simulator supports ListServiceQuotas and ListAWSDefaultServiceQuotas only.",
        );
      }
      const listed =
        ServiceCode !== "bedrock" ? [] : isDefault ? rows : rows.filter((row) => row.value.applied !== undefined);
      const page = pageOf(listed, NextToken, MaxResults, account.pageSize);
      const quotas = page.items.map(({ name, code, value }) => ({
        ServiceCode: "bedrock",
        ServiceName: "Amazon Bedrock",
        QuotaArn: `arn:aws:servicequotas:${region}:123456789012:bedrock/${code}`,
        QuotaCode: code,
        QuotaName: name,
        Value: isDefault ? value.default : value.applied,
        Unit: "None",
        Adjustable: true,
        GlobalQuota: false,
      }));
      const content = { Quotas: quotas, ...(page.next && { NextToken: page.next }) };
      exchange.send(200, { "content-type": "application/x-amz-json-1.1" }, JSON.stringify(content));
    };
  };
}
