// Checks webhook URLs, as far as the text allows. Every connection checks the resolved addresses again
// (worker/webhooks/post.ts), because a name may resolve to others by then.
import { isIP } from "node:net";
import type { Settings } from "../../config/settings.ts";
import { quote, SluiceError } from "../../domain/errors.ts";
import { AllowedNetworks } from "../../domain/networks.ts";

const maxLength = 2048;

/**
 * Returns a checked URL in its normal form.
 * @throws SluiceError `invalid_request`
 */
export function checkWebhookUrl({ webhooks }: Pick<Settings, "webhooks">, text: string): string {
  const networks = new AllowedNetworks(webhooks.allowPrivateNetworks);
  if (text.length > maxLength) throw refused(`must have at most ${maxLength} characters; it has ${text.length}.`);
  const url = URL.canParse(text) ? new URL(text) : undefined;
  if (!url || !/^https?:\/\//i.test(text)) {
    throw refused(`must be a URL such as https://example.com/hook; got ${quote(text)}.`);
  }
  if (url.username !== "" || url.password !== "") throw refused("must not contain a user name or a password.");
  const allowed = mistakeIn(url, networks);
  if (allowed !== undefined) throw refused(allowed);
  url.hash = "";
  return url.href;
}

function mistakeIn(url: URL, networks: AllowedNetworks): string | undefined {
  if (url.protocol === "http:" && !networks.some) {
    return "must start with https://; http:// is allowed only for networks in webhooks.allowPrivateNetworks.";
  }
  const port = Number(url.port);
  if (url.port !== "" && port !== 80 && port !== 443 && port < 1024) {
    return `must use port 80, 443 or one from 1024 to 65535; got ${port}.`;
  }
  const host = hostOf(url);
  if (isIP(host) === 0) return undefined;
  if (!networks.mayReach(host)) {
    return "must be a public address, or in a network in webhooks.allowPrivateNetworks.";
  }
  if (url.protocol === "http:" && !networks.has(host)) {
    return "must start with https://; http:// is allowed only for networks in webhooks.allowPrivateNetworks.";
  }
  return undefined;
}

/**
 * Returns the host without the brackets of IPv6. The URL parser has converted other notations of IPv4, such as 0x7f.1.
 */
export function hostOf(url: URL): string {
  return url.hostname.replace(/^\[|\]$/g, "");
}

function refused(message: string): SluiceError {
  return new SluiceError("invalid_request", `webhook_url ${message}`, { field: "webhook_url" });
}
