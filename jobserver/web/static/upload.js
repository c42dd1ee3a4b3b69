// Uploads of data files: chosen or dropped, with their progress; what fails can be tried again.
import { ApiError, act, api, root, t } from "./api.js";
import { button, element } from "./element.js";

const LIMIT_NAME = 100;

/** Let files be dropped on and chosen in an element; report each that was stored, or is to be used as it was. */
export function uploads(zone, onStored, onChosen) {
  const input = zone.querySelector("input[type=file]");
  const list = zone.querySelector(".uploads");
  const take = (files) => {
    for (const file of files) start(file, list, onStored, onChosen);
  };
  input.addEventListener("change", () => {
    take([...input.files]);
    input.value = "";
  });
  const hover = (is) => (event) => {
    event.preventDefault();
    zone.classList.toggle("over", is);
  };
  zone.addEventListener("dragover", hover(true));
  zone.addEventListener("dragleave", hover(false));
  zone.addEventListener("drop", (event) => {
    hover(false)(event);
    take([...event.dataTransfer.files]);
  });
}

/** Upload a file with a row in a list, until it is stored or given up. */
export function start(file, list, onStored, onChosen) {
  const progress = element("progress", { max: 1, value: 0, "aria-label": file.name });
  const text = element("span", { className: "name" }, file.name);
  const row = element("li", {}, text, progress);
  list.append(row);
  const name = element("input", { value: file.name, maxLength: LIMIT_NAME, "aria-label": t("upload.name") });
  const again = button(t("upload.again"), () => act(again, run));
  const close = button(t("upload.forget"), () => row.remove(), { className: "quiet" });
  const use = button(t("upload.use"), () => act(use, async () => {
    row.remove();
    await onChosen(name.value.trim());
  }));
  const run = async () => {
    row.replaceChildren(text, progress);
    try {
      await put(file, name.value.trim(), (share) => (progress.value = share));
      row.remove();
      await onStored(name.value.trim());
    } catch (error) {
      const choices = error.status === 409 && onChosen ? [use] : [];
      row.replaceChildren(element("p", { className: "field-problem" }, error.message), name, again, ...choices, close);
    }
  };
  return run();
}

/** Send a file as a new data file; ask for the login where it has ended. */
async function put(file, name, onProgress) {
  const answer = await sent(file, name, onProgress);
  if (answer.status === 201) return;
  if (answer.status === 401) {
    await api("GET", "/datafiles"); // asks for the password
    return put(file, name, onProgress);
  }
  throw new ApiError(answer.status, answer);
}

function sent(file, name, onProgress) {
  return new Promise((resolve, reject) => {
    const request = new XMLHttpRequest();
    request.open("PUT", `${root}/datafile/${encodeURIComponent(name)}`);
    request.setRequestHeader("Content-Type", "application/octet-stream");
    request.upload.onprogress = ({ loaded, total }) => onProgress(loaded / total);
    request.onerror = () => reject(new Error(t("upload.lost")));
    request.onload = () => resolve({ status: request.status, message: messageOf(request) });
    request.send(file);
  });
}

function messageOf(request) {
  try {
    return JSON.parse(request.responseText).message;
  } catch {
    return request.statusText || t("upload.lost");
  }
}
