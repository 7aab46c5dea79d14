// The switch between the light and the dark theme. Without a choice, the page follows the system.
import { signal } from "@preact/signals";

type Theme = "system" | "light" | "dark";
const key = "sluice-theme";

const theme = signal<Theme>(read());
apply(theme.value);

function read(): Theme {
  try {
    const stored = localStorage.getItem(key);
    return stored === "light" || stored === "dark" ? stored : "system";
  } catch {
    // Storage may be forbidden.
    return "system";
  }
}

function apply(next: Theme): void {
  if (next === "system") delete document.documentElement.dataset.theme;
  else document.documentElement.dataset.theme = next;
}

export function ThemeSwitch() {
  return (
    <label class="theme">
      <span class="sr">Theme</span>
      <select
        value={theme.value}
        onChange={({ currentTarget }) => {
          theme.value = currentTarget.value as Theme;
          apply(theme.value);
          try {
            localStorage.setItem(key, theme.value);
          } catch {
            // The choice lasts until the page is closed.
          }
        }}
      >
        <option value="system">System</option>
        <option value="light">Light</option>
        <option value="dark">Dark</option>
      </select>
    </label>
  );
}
