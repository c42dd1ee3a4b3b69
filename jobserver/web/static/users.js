// The list of users: delete one.
import { act, api, notify, t } from "./api.js";

document.querySelector("main").addEventListener("click", (event) => {
  const { delete: id, email } = event.target.dataset;
  if (!id || !confirm(t("users.delete_this", { email }))) return;
  act(event.target, async () => {
    await api("DELETE", `/user/${id}`);
    event.target.closest("tr").remove();
    document.getElementById("main").focus();
    notify(t("users.deleted", { email }));
  });
});
