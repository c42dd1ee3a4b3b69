// Requests to the server, with its errors as they are, and the login where it has ended.
const html = document.documentElement;
export const root = html.dataset.root;
const texts = JSON.parse(document.getElementById("texts").textContent);

/** Return a text in the visitor's language, with {placeholders} filled in. */
export function t(key, values = {}) {
  return texts[key].replace(/\{(\w+)\}/g, (_, name) => values[name]);
}

export class ApiError extends Error {
  constructor(status, content) {
    super(content.message);
    this.status = status;
    this.errors = content.errors ?? [];
  }
}

/** Send a request, and return the response; throw ApiError if it was refused. */
export async function send(method, path, { json, body, headers = {}, signal } = {}) {
  if (json !== undefined) {
    body = JSON.stringify(json);
    headers = { "Content-Type": "application/json", ...headers };
  }
  headers = { Prefer: "advice=none", ...headers }; // pages have buttons
  let response;
  try {
    response = await fetch(root + path, { method, body, headers, signal, redirect: "error" });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    offline(true);
    throw new ApiError(0, { message: t("offline") });
  }
  offline(false);
  if (response.status === 401 && (await logInAgain())) {
    return send(method, path, { body, headers, signal });
  }
  if (!response.ok && response.status !== 304) {
    const content = await response.json().catch(() => ({ message: response.statusText }));
    throw new ApiError(response.status, content);
  }
  return response;
}

/** Send a request, and return the JSON of the answer. */
export async function api(method, path, options = {}) {
  const separator = path.includes("?") ? "&" : "?";
  const response = await send(method, `${path}${separator}stringify=false`, options);
  return response.status === 204 ? null : response.json();
}

/** Show or hide that the server cannot be reached. */
export function offline(is) {
  document.getElementById("offline").hidden = !is;
}

/** Show a notice; a problem stays until it is closed. */
export function notify(text, { problem = false } = {}) {
  const notice = document.createElement("p");
  notice.className = problem ? "problem" : "";
  const close = document.createElement("button");
  close.type = "button";
  close.textContent = "×";
  close.setAttribute("aria-label", t("close"));
  close.addEventListener("click", () => notice.remove());
  notice.append(text, close);
  document.getElementById("notices").append(notice);
  if (!problem) setTimeout(() => notice.remove(), 6000);
}

/** Copy a text to the clipboard, and say so. */
export async function copyText(text) {
  try {
    if (navigator.clipboard) await navigator.clipboard.writeText(text);
    else copyByCommand(text);
  } catch {
    throw new Error(t("not_copied"));
  }
  notify(t("copied"));
}

/** Copy a text where browsers have no clipboard for scripts: on plain HTTP. */
function copyByCommand(text) {
  const field = document.createElement("textarea");
  field.value = text;
  document.body.append(field);
  field.select();
  const isDone = document.execCommand("copy");
  field.remove();
  if (!isDone) throw new Error("refused");
}

/** Run an action of a button: it is disabled meanwhile, keeps its focus, and a problem is shown. */
export async function act(button, action) {
  const isFocused = document.activeElement === button;
  button.disabled = true;
  try {
    return await action();
  } catch (error) {
    const details = (error.errors ?? []).map(({ field, problem }) => `${field} ${problem}`);
    notify([error.message, ...details].join("\n"), { problem: true });
  } finally {
    button.disabled = false;
    if (isFocused && document.activeElement === document.body) button.focus({ preventScroll: true });
  }
}

let asking = null;

/** Ask for the password where the login has ended, so that what was typed is kept. */
function logInAgain() {
  const dialog = document.getElementById("login-dialog");
  if (!dialog) return false;
  asking ??= new Promise((resolve) => {
    const form = dialog.querySelector("form");
    const problem = dialog.querySelector(".error");
    const done = (result) => {
      asking = null;
      dialog.close();
      resolve(result);
    };
    form.onsubmit = async (event) => {
      event.preventDefault();
      const response = await fetch(`${root}/ui/login`, {
        method: "POST",
        headers: { Accept: "application/json" },
        body: new URLSearchParams(new FormData(form)),
      }).catch(() => null);
      form.elements.password.value = "";
      if (response?.ok) return done(true);
      problem.hidden = false;
      problem.textContent = response ? (await response.json()).message : t("offline");
    };
    dialog.querySelector("[data-close]").onclick = () => done(false);
    dialog.oncancel = () => done(false);
    dialog.showModal();
  });
  return asking;
}
