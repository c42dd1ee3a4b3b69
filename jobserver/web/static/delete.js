// Buttons that delete something, once that is confirmed.
import { act, api, notify, root, t } from "./api.js";

const OF_DATA = {
  question: (values) => t("data.confirm", values),
  done: (values) => t("data.deleted", values),
};

/** Let the buttons in an element delete; call a function afterwards, or go where they lead. */
export function deletion(element, then, { question, done } = OF_DATA) {
  element.addEventListener("click", (event) => {
    const button = event.target.closest("[data-delete]");
    if (!button || !confirm(question(button.dataset))) return;
    act(button, async () => {
      await api("DELETE", button.dataset.delete);
      if (button.dataset.leads) return location.replace(root + button.dataset.leads);
      notify(done(button.dataset));
      return then();
    });
  });
}
