// The account: personal tokens, and what changes or deletes it.
import { ApiError, act, api, copyText, notify, root, t } from "./api.js";
import { refreshContent } from "./app.js";
import { deletion } from "./delete.js";
import { onSubmit } from "./forms.js";

const { user, email } = document.getElementById("account").dataset;
const path = `/user/${user}`;
const element = (id) => document.getElementById(id);

function showToken(token) {
  element("made").hidden = false;
  element("made-token").value = token;
  element("made-token").focus();
  element("made-token").select();
}

function hideToken() {
  element("made").hidden = true;
  element("made-token").value = "";
}

onSubmit(element("new-token"), async ({ name }) => {
  const boxes = element("new-token").querySelectorAll("[name=scopes]:checked");
  const scopes = [...boxes].map((box) => box.value);
  const { token } = await api("PUT", `${path}/tokens`, { json: { name, scopes } });
  element("new-token").reset();
  await refreshContent(element("tokens"));
  showToken(token);
});

element("copy").addEventListener("click", (event) => act(event.target, () => copyText(element("made-token").value)));

const ofTokens = {
  question: (values) => t("account.delete_token", values),
  done: (values) => t("account.token_deleted", values),
};
deletion(element("tokens"), async () => {
  hideToken();
  await refreshContent(element("tokens"));
  element("new-token").elements.name.focus();
}, ofTokens);

onSubmit(element("new-password"), async (fields) => {
  await api("POST", path, { json: fields });
  await logIn(fields.password); // all logins have ended
  element("new-password").reset();
  hideToken();
  await refreshContent(element("tokens"));
  notify(t("account.changed"));
});

async function logIn(password) {
  const response = await fetch(`${root}/ui/login`, {
    method: "POST",
    headers: { Accept: "application/json" },
    body: new URLSearchParams({ email, password }),
  });
  if (!response.ok) location.assign(`${root}/ui/login`);
}

onSubmit(element("new-address"), async (fields) => {
  const { message } = await api("POST", path, { json: fields });
  element("new-address").reset();
  notify(message);
});

onSubmit(element("delete-account"), async ({ typed }) => {
  if (typed.trim().toLowerCase() !== email) throw new ApiError(0, { message: t("account.typed") });
  await api("DELETE", path);
  location.assign(`${root}/ui/login`);
});
