// Messages about settings never contain a secret, whatever is wrong with the setting.
import { inspect } from "node:util";
import fc from "fast-check";
import { expect, test } from "vitest";
import { checkMongoUrl, checkRedisUrl } from "../../src/config/addresses.ts";
import { ConfigError } from "../../src/config/config-problems.ts";
import { maskSecrets, secretHider } from "../../src/config/secret-hider.ts";
import { load } from "./support.ts";

/** Two words, so that a split password is detected too. */
const words = ["hunter2", "swordfish"] as const;
const [one, two] = words;

/** All ways in which a password can invalidate an address, or an address with a password can be invalid. */
const addresses = (scheme: string): string[] => [
  `${scheme}://u:${one}/${two}@127.0.0.1:6379`,
  `${scheme}://u:${one}/@127.0.0.1:6379`,
  `${scheme}://u:${one}#${two}@127.0.0.1:6379`,
  `${scheme}://u:#${one}@127.0.0.1:6379`,
  `${scheme}://u:${one}?${two}@127.0.0.1:6379`,
  `${scheme}://u:${one}@${two}@127.0.0.1:6379`,
  `${scheme}://u:${one}%@127.0.0.1:6379`,
  `${scheme}://u:${one}%zz${two}@127.0.0.1:6379`,
  `${scheme}://u:${one}%ff@127.0.0.1:6379`,
  `${scheme}://u:${one}[${two}]@127.0.0.1:6379`,
  `${scheme}://u:${one} ${two}@127.0.0.1:6379`,
  `${scheme}://u:${one}\\${two}@127.0.0.1:6379/\\`,
  `${scheme}://u:${one}\n${two}@127.0.0.1:6379`,
  `${scheme}://${one}#${two}@127.0.0.1`,
  `${scheme}://u:${one}@127.0.0.1:70000`,
  `${scheme}://u:${one}@127.0.0.1:0`,
  `${scheme}://u:${one}@127.0.0.1:port`,
  `${scheme}://u:${one}@127.0.0.1:6379:6379`,
  `${scheme}://u:${one}@`,
  `${scheme}://u:${one}@:6379`,
  `${scheme}://u:${one}`,
  `${scheme}://:${one}`,
  `${scheme}://u:${one}@[::1`,
  `${scheme}://u:${one}@[::zz]:6379`,
  `${scheme}://u:${one}@127.0.0.1/db?${two}`,
  `${scheme}://u:p@127.0.0.1/0?password=${one}&x#${two}`,
  `${scheme}://u:p@127.0.0.1/?${one}`,
  `${scheme}:/u:${one}@127.0.0.1`,
  `${scheme}:u:${one}@127.0.0.1`,
  `u:${one}@127.0.0.1:6379`,
  `u:${one}/${two}@127.0.0.1:6379`,
  `//u:${one}@127.0.0.1:6379`,
  `ftp://u:${one}@127.0.0.1:6379`,
  `"${scheme}://u:${one}@127.0.0.1:6379"`,
  `${scheme}://u:${one}@127.0.0.1:6379,u:${two}@127.0.0.2:x`,
];

function expectNoSecret(shown: string, input: string): void {
  // `hidden` also finds it where a message cuts it short.
  for (const word of words) expect(shown.includes(word.slice(0, 6)), `${input}\n${shown}`).toBe(false);
}

const file = (deployment: string) =>
  `models: { m: { deployments: [{ provider: openai, modelId: x, ${deployment} }] } }`;
const bedrockFile = (key: string) =>
  `models: { m: { deployments: [{ region: us-east-1, modelId: us.meta.llama3-3-70b-instruct-v1:0, ${key} }] } }`;

/** All settings whose value contains a secret, or may by mistake. */
const settings: Record<string, (value: string) => Parameters<typeof load>[0]> = {
  REDIS_URL: (value) => ({ env: { REDIS_URL: value, MONGODB_URL: "mongodb://127.0.0.1" } }),
  MONGODB_URL: (value) => ({ env: { MONGODB_URL: value, REDIS_URL: "redis://127.0.0.1" } }),
  "REDIS_URL alone": (value) => ({ env: { REDIS_URL: value } }),
  "MONGODB_URL alone": (value) => ({ env: { MONGODB_URL: value } }),
  AWS_ENDPOINT_URL_BEDROCK_RUNTIME: (value) => ({ env: { AWS_ENDPOINT_URL_BEDROCK_RUNTIME: value } }),
  AWS_ENDPOINT_URL: (value) => ({ env: { AWS_ENDPOINT_URL: value } }),
  HOST: (value) => ({ env: { HOST: value } }),
  PORT: (value) => ({ env: { PORT: value } }),
  SLUICE_AUTH: (value) => ({ env: { SLUICE_AUTH: value } }),
  SLUICE_PROVIDER: (value) => ({ env: { SLUICE_PROVIDER: value } }),
  SLUICE_LOG_LEVEL: (value) => ({ env: { SLUICE_LOG_LEVEL: value } }),
  baseUrl: (value) => ({ yaml: file(`baseUrl: ${JSON.stringify(value)}`) }),
  "baseUrl, not closed": (value) => ({ yaml: file(`baseUrl: "${value}`) }),
  "baseUrl, as it is": (value) => ({ yaml: file(`baseUrl: ${value}`) }),
  endpoint: (value) => ({ yaml: bedrockFile(`endpoint: ${JSON.stringify(value)}`) }),
  apiKeyEnv: (value) => ({ yaml: file(`baseUrl: http://127.0.0.1/v1, apiKeyEnv: ${JSON.stringify(value)}`) }),
  "an unknown key": (value) => ({ yaml: file(`apiKey: ${JSON.stringify(value)}`) }),
  "an unknown section": (value) => ({ yaml: `redis: { url: ${JSON.stringify(value)} }` }),
  host: (value) => ({ yaml: `host: ${JSON.stringify(value)}` }),
  "networks of webhooks": (value) => ({ yaml: `webhooks: { allowPrivateNetworks: [${JSON.stringify(value)}] }` }),
  "trusted proxies": (value) => ({ env: { SLUICE_TRUSTED_PROXIES: value } }),
  "a key of YAML": (value) => ({ yaml: `${value}` }),
  "a database": (value) => ({ yaml: `environments: { UAT: { database: ${JSON.stringify(value)} } }` }),
  "the value of apiKeyEnv": (value) => ({
    yaml: file("baseUrl: http://127.0.0.1/v1, apiKeyEnv: TEST_KEY"),
    env: { TEST_KEY: `${value}\u0001` },
  }),
};

/** Settings for which no address is valid. */
const mistaken = new Set(["REDIS_URL", "MONGODB_URL", "REDIS_URL alone", "MONGODB_URL alone", "an unknown key"]);

test.each(Object.keys(settings))(
  "E1: no error about %s holds its secret",
  async (setting) => {
    const schemes = setting.startsWith("REDIS")
      ? ["redis", "rediss"]
      : setting.startsWith("MONGO")
        ? ["mongodb", "mongodb+srv"]
        : ["http", "https"];
    for (const address of schemes.flatMap(addresses)) {
      const error = await load(settings[setting]!(address)).then(
        () => undefined,
        (error: unknown) => error,
      );
      if (mistaken.has(setting)) expect(error, address).toBeInstanceOf(ConfigError);
      if (error === undefined) continue;
      expect(error, inspect(error)).toBeInstanceOf(ConfigError);
      expectNoSecret(inspect(error, { depth: 10, showHidden: true }), address);
    }
  },
  60_000,
);

test("E1: a key in the place of its variable's name is not shown", async () => {
  for (const key of [
    "sk_live_hunter2swordfish",
    "gsk_hunter2",
    "hf_hunter2ABC",
    "sk-proj-hunter2",
    "AKIAHUNTER2SWORDFISH",
  ]) {
    const error = await load({ yaml: file(`baseUrl: http://127.0.0.1/v1, apiKeyEnv: ${key}`) }).catch(
      (e: unknown) => e,
    );
    expect(error).toBeInstanceOf(ConfigError);
    expect(String(error).toLowerCase()).not.toContain("hunter2");
  }
});

test("E1: the message about an invalid Redis address says what is wrong with it", () => {
  const said = (address: string) => {
    try {
      checkRedisUrl("REDIS_URL", address);
    } catch (error) {
      return (error as Error).message;
    }
    return "valid";
  };
  const start = "REDIS_URL is not a valid address: ";
  expect(said("redis://u:hunter2/@127.0.0.1:6379")).toBe(
    `${start}its user name or password contains a / or ? that is not encoded. Use an address such as ` +
      "redis://user:password@host:6379/0, and percent-encode each of : / ? # [ ] @ % in the user name and the password " +
      "(%3A %2F %3F %23 %5B %5D %40 %25). Got redis://***@127.0.0.1:6379.",
  );
  expect(said("redis://u:hunter2#@127.0.0.1")).toContain(`${start}it contains a #.`);
  expect(said("redis://u:%@127.0.0.1")).toContain(
    `${start}it contains a % that is not followed by two hexadecimal digits.`,
  );
  expect(said("redis://a:6379,b:6379")).toContain(`${start}it names several hosts, but only one is allowed.`);
  expect(said("redis://a:70000")).toContain(`${start}its port must be a number from 1 to 65535.`);
  expect(said("redis://:6379")).toContain(`${start}it names no host.`);
  expect(said("hunter2")).toContain("Got ***.");
});

test.each([
  ["redis", "redis://127.0.0.1:6379"],
  ["redis", "redis://localhost"],
  ["redis", "REDIS://localhost/"],
  ["redis", "rediss://:p%40ss%2Fw%23@redis_1.example.com:6380/15?family=6"],
  ["redis", "redis://user:pa:ss@[::1]:6379/0"],
  ["redis", "redis://user@host"],
  ["mongo", "mongodb://127.0.0.1:27017/?replicaSet=rs0"],
  ["mongo", "mongodb://u:p%40ss@a:27017,b,[::1]:27018/admin?tls=true&authSource=admin"],
  ["mongo", "mongodb+srv://u:p@cluster0.example.mongodb.net/?retryWrites=true&w=majority"],
  ["mongo", "mongodb://%2Ftmp%2Fmongodb-27017.sock/admin"],
  ["mongo", "mongodb://a/?authMechanismProperties=A:b,C:d"],
])("E1: %s: %s is a valid address", (kind, address) => {
  expect(() => (kind === "redis" ? checkRedisUrl : checkMongoUrl)("X", address)).not.toThrow();
});

test("E1: the client understands every accepted Redis address as intended", () => {
  const part = fc.constantFrom(
    "redis://",
    "u",
    ":",
    "hunter2",
    "@",
    "127.0.0.1",
    "[::1]",
    ":6379",
    "/",
    "0",
    "?",
    "#",
    "%",
    "%41",
    "a=b",
    ",",
    " ",
  );
  fc.assert(
    fc.property(fc.array(part, { minLength: 2, maxLength: 9 }), (parts) => {
      const address = parts.join("");
      try {
        checkRedisUrl("X", address);
      } catch (error) {
        expect(error).toBeInstanceOf(ConfigError);
        if (/@[^h]*$/.test(address)) expectNoSecret((error as Error).message, address);
        return;
      }
      const url = new URL(address);
      expect(() => decodeURIComponent(url.password)).not.toThrow();
      expect(url.hash).toBe("");
      expect(url.host + url.pathname + url.search).not.toContain("@");
    }),
    { numRuns: 5_000 },
  );
});

test("E1: secrets of the environment are hidden everywhere, as written and decoded", () => {
  const hide = secretHider({
    REDIS_URL: "redis://u:hunter%2F2@h",
    OPENAI_API_KEY: "sk-swordfish",
    AWS_SECRET_ACCESS_KEY: "aws/secret",
    MONGODB_URL: "mongodb://h/?authMechanismProperties=AWS_SESSION_TOKEN:tokentoken&replicaSet=rs0rs0",
    HTTPS_PROXY: "http://me:proxypass@proxy:3128",
    AWS_ACCESS_KEY_ID: "AKIAEXAMPLE",
    SHORT_TOKEN: "abc",
    HOME: "/root",
  });
  const text = "hunter%2F2 hunter/2 sk-swordfish aws/secret tokentoken rs0rs0 proxypass AKIAEXAMPLE abc /root";
  expect(hide(text)).toBe("*** *** *** *** *** rs0rs0 *** AKIAEXAMPLE abc /root");
});

test("E1: texts without a secret stay as they are", () => {
  for (const text of [
    "http://127.0.0.1:9000/v1",
    "a@b.example",
    "us.meta.llama3-3-70b-instruct-v1:0",
    '["10.0.0.0/8"]',
    "redis://h:6379",
    "(default: http://127.0.0.1:8000)",
    "(default: http://127.0.0.1:8000)\n  --config <file>",
  ]) {
    expect(maskSecrets(text)).toBe(text);
  }
});

test("E1: a password in parentheses is hidden", () => {
  for (const password of ["hunter2", "12345)hunter2", "123456", "1)2"]) {
    expect(maskSecrets(`(http://u:${password})`)).toBe("(http://***");
  }
  fc.assert(
    fc.property(fc.integer({ min: 1, max: 65535 }), fc.constantFrom("", " x", "\nx"), (port, rest) => {
      expect(maskSecrets(`(http://127.0.0.1:${port})${rest}`)).toBe(`(http://127.0.0.1:${port})${rest}`);
    }),
  );
});
