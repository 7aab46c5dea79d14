// The look of /docs: Sluice's name and icon, a header with links, and colours that follow the browser. The header
// replaces the bar of Swagger UI, which carries another name and a field for foreign addresses.

const icon = `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 32 32"><title>Sluice</title><rect width="32" height="32" rx="7" fill="#0b6bcb"/><path d="M6 10h20M6 16h13M6 22h7" stroke="#fff" stroke-width="3.4" stroke-linecap="round"/></svg>
`;

const css = `.sluice-header {
  align-items: center;
  background: #10243a;
  color: #fff;
  display: flex;
  flex-wrap: wrap;
  font: 16px/1.5 system-ui, sans-serif;
  gap: 4px 24px;
  padding: 12px 24px;
}
.sluice-header strong { font-size: 20px; margin-right: auto; }
.sluice-header a { color: #fff; }
`;

/** Links are relative to the folder of the service, because a proxy may serve Sluice below a path. */
function script(links: readonly (readonly [text: string, path: string])[]): string {
  return `const root = new URL(location.pathname.endsWith("/") ? "../" : "./", location.href);
const header = document.createElement("header");
header.className = "sluice-header";
const name = document.createElement("strong");
name.textContent = "Sluice";
header.append(name);
for (const [text, path] of ${JSON.stringify(links)}) {
  const link = document.createElement("a");
  link.textContent = text;
  link.href = new URL(path, root).href;
  header.append(link);
}
document.body.prepend(header);
const dark = matchMedia("(prefers-color-scheme: dark)");
const follow = () => document.documentElement.classList.toggle("dark-mode", dark.matches);
dark.addEventListener("change", follow);
follow();
`;
}

/**
 * Returns the theme of the page, for the option `theme` of @fastify/swagger-ui.
 * @param hasDashboard whether this service serves the dashboard. Called for each response, because its routes are added
 *   after the documentation
 */
export function documentationTheme(hasDashboard: () => boolean) {
  const links = () => [
    ...(hasDashboard() ? [["Dashboard", "ui/"] as const] : []),
    ["OpenAPI document", "openapi.json"] as const,
  ];
  return {
    title: "Sluice API",
    favicon: [{ filename: "icon.svg", rel: "icon", sizes: "any", type: "image/svg+xml", content: icon }],
    css: [{ filename: "header.css", content: css }],
    js: [
      {
        filename: "header.js",
        get content() {
          return script(links());
        },
      },
    ],
  };
}
