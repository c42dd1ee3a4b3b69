// Stored data: the beginning of it.
import { send } from "./api.js";
import { deletion } from "./delete.js";
import { beginning, shorten } from "./preview.js";

const content = document.getElementById("stored");
deletion(document.getElementById("main"));

async function show() {
  const { text } = await beginning(await send("GET", content.dataset.address));
  content.textContent = shorten(text);
}

show().catch((error) => (content.textContent = error.message));
