// Light or dark: as the system says, until a person chooses.

const KEY = "crosspane-theme";
const system = matchMedia("(prefers-color-scheme: dark)");
let chosen: string | null = null;

export const isDark = (): boolean => (chosen ? chosen === "dark" : system.matches);

const apply = (): void => {
  document.documentElement.dataset.theme = isDark() ? "dark" : "light";
};

export function start(changed: () => void): void {
  try {
    chosen = localStorage.getItem(KEY);
  } catch {
    // storage is forbidden: the system's it is
  }
  apply();
  system.addEventListener("change", () => {
    apply();
    changed();
  });
}

export function toggle(): void {
  chosen = isDark() ? "light" : "dark";
  apply();
  try {
    localStorage.setItem(KEY, chosen);
  } catch {
    // it holds for this page only
  }
}
