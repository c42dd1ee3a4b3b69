// Buttons that delete data, once that is confirmed.
import { act, api, notify, root, t } from "./api.js";

/** Let the buttons in an element delete; call a function afterwards, or go where they lead. */
export function deletion(element, then) {
  element.addEventListener("click", (event) => {
    const button = event.target.closest("[data-delete]");
    if (!button || !confirm(t("data.confirm", { name: button.dataset.name }))) return;
    act(button, async () => {
      await api("DELETE", button.dataset.delete);
      if (button.dataset.leads) return location.replace(root + button.dataset.leads);
      notify(t("data.deleted", { name: button.dataset.name }));
      return then();
    });
  });
}
