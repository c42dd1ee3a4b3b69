// The lists of data: uploads, and what is deleted.
import { notify, t } from "./api.js";
import { localize } from "./app.js";
import { deletion } from "./delete.js";
import { uploads } from "./upload.js";

const listing = document.getElementById("listing");

/** Fetch the lists as they are now. */
async function refresh() {
  const response = await fetch(location.href, { headers: { Accept: "text/html" } });
  if (response.redirected || !response.ok) return location.reload();
  const fresh = new DOMParser().parseFromString(await response.text(), "text/html").getElementById("listing");
  localize(fresh);
  listing.replaceChildren(...fresh.childNodes);
}

deletion(listing, async () => {
  await refresh();
  document.getElementById("main").focus();
});
uploads(document.querySelector("[data-upload]"), (name) => {
  notify(t("data.stored", { name }));
  refresh();
});
