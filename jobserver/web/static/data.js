// The lists of data: uploads, and what is deleted.
import { notify, t } from "./api.js";
import { refreshContent } from "./app.js";
import { deletion } from "./delete.js";
import { uploads } from "./upload.js";

const listing = document.getElementById("listing");

deletion(listing, async () => {
  await refreshContent(listing);
  document.getElementById("main").focus();
});
uploads(document.querySelector("[data-upload]"), (name) => {
  notify(t("data.stored", { name }));
  refreshContent(listing);
});
