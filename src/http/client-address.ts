// Tells which address a request comes from: the socket's, or the one that a trusted proxy names in X-Forwarded-For.
import { isIP } from "node:net";
import type { FastifyRequest } from "fastify";
import { AllowedNetworks } from "../domain/networks.ts";

/**
 * Returns Fastify's `trustProxy`: whether an address belongs to a trusted proxy. Returns false if there is none.
 * @param networks such as `10.0.0.0/8`
 */
export function trustIn(networks: readonly string[]): false | ((address: string) => boolean) {
  const trusted = new AllowedNetworks(networks);
  return trusted.some && ((address) => trusted.has(address));
}

/** Returns the address of the client. A proxy may pass on any text; what is no IP address counts as the proxy's own. */
export function clientAddress({ ip, socket }: FastifyRequest): string {
  return isIP(ip) === 0 ? (socket.remoteAddress ?? "") : ip;
}
