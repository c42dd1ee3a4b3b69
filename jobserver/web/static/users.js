// The list of users: change the role and the quotas of one, or delete one.
import { api, notify, t } from "./api.js";
import { refreshContent } from "./app.js";
import { deletion } from "./delete.js";
import { fromInput } from "./exact.js";
import { onSubmit } from "./forms.js";

const list = document.getElementById("users");
const dialog = document.getElementById("manage");
const form = dialog.querySelector("form");
const fields = [...form.elements].filter((field) => field.name);
const QUOTAS = ["job_quota", "job_limit", "storage_quota"];
let managed = null;

function open(button) {
  managed = button.dataset;
  document.getElementById("managed").textContent = managed.email;
  for (const field of fields) field.value = managed[field.name];
  form.querySelector(".error").hidden = true;
  dialog.showModal();
}

/** Return what was changed, as the server takes it: no number lifts a quota. */
function changes(values) {
  const changed = Object.entries(values).filter(([name, value]) => value !== managed[name]);
  const number = (text) => (text === "" ? null : fromInput(text));
  return Object.fromEntries(changed.map(([name, value]) => [name, QUOTAS.includes(name) ? number(value) : value]));
}

onSubmit(form, async (values) => {
  const json = changes(values);
  if (Object.keys(json).length) {
    await api("PATCH", `/user/${managed.manage}`, { json });
    await refreshContent(list);
    notify(t("users.changed", { name: managed.email }));
  }
  dialog.close();
  list.querySelector(`[data-manage="${managed.manage}"]`)?.focus();
});

dialog.querySelector("[data-close]").addEventListener("click", () => dialog.close());
list.addEventListener("click", ({ target }) => target.dataset.manage && open(target));
const ofUsers = {
  question: (values) => t("users.delete_this", values),
  done: (values) => t("users.deleted", values),
};
deletion(list, async () => {
  await refreshContent(list);
  document.getElementById("main").focus();
}, ofUsers);
