// Small words of the page: elements, figures, times.

export const byId = (id) => document.getElementById(id);
export const show = (id, shown) => { byId(id).hidden = !shown; };

export function element(name, attributes = {}, ...children) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (value === true) made.setAttribute(key, "");
    else if (value !== false && value !== undefined) made.setAttribute(key, value);
  }
  made.append(...children.filter((child) => child !== ""));
  return made;
}

const known = (value) => value !== null && value !== undefined;
export const count = (number) => number.toLocaleString();
export const watts = (value) => (known(value) ? `${value.toFixed(value < 99.995 ? 2 : 1)} W` : "–");
export const percent = (value) => (known(value) ? `${value.toFixed(value < 9.95 ? 1 : 0)} %` : "–");

const MINUTES = { hour: "2-digit", minute: "2-digit", hourCycle: "h23" };
export const clock = (seconds) => new Date(seconds * 1000).toLocaleTimeString([], { ...MINUTES, second: "2-digit" });
export const minutes = (seconds) => new Date(seconds * 1000).toLocaleTimeString([], MINUTES);

// The time, with the day where it is not today.
export function moment(seconds) {
  const at = new Date(seconds * 1000);
  if (at.toDateString() === new Date().toDateString()) return minutes(seconds);
  return at.toLocaleString([], { month: "short", day: "numeric", ...MINUTES });
}

export function age(seconds) {
  if (seconds < 0 || !Number.isFinite(seconds)) return "0 s";
  for (const [unit, size] of [["d", 86400], ["h", 3600], ["min", 60]]) {
    if (seconds >= 2 * size) return `${Math.floor(seconds / size)} ${unit}`;
  }
  return `${Math.round(seconds)} s`;
}

export const ago = (seconds) => `${age(Date.now() / 1000 - seconds)} ago`;

// A horizon: how old a model is when it makes an estimate.
export function horizon(seconds) {
  return Number(seconds) === 0 ? "one sample ahead" : `by a model ${Math.round(seconds / 60)} min old`;
}

export function colour(name) {
  return getComputedStyle(document.documentElement).getPropertyValue(name).trim();
}
