// A link of another site, as in a mail, comes without the cookie of the login. If there is one, go on.
import { root } from "./api.js";

const next = document.querySelector("main [name=next]").value;
const url = new URL(root + next, location.origin);

if (next.startsWith("/ui/") && url.origin === location.origin) {
  fetch(url, { headers: { Accept: "text/html" }, redirect: "manual" })
    .then((response) => response.type === "basic" && location.replace(url), () => {});
}
