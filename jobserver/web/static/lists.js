// Lists that a text narrows, while it is typed.
const norm = (text) => text.toLowerCase().replace(/\s+/g, " ").trim();

for (const input of document.querySelectorAll("[data-filters]")) {
  const entries = [...document.getElementById(input.dataset.filters).children];
  const texts = entries.map((entry) => norm(entry.textContent));
  const count = document.getElementById(`${input.dataset.filters}-count`);
  const all = count.textContent;
  input.addEventListener("input", () => {
    const words = norm(input.value).split(" ");
    entries.forEach((entry, n) => (entry.hidden = !words.every((word) => texts[n].includes(word))));
    const shown = entries.filter((entry) => !entry.hidden).length;
    count.textContent = all.replace(/\d+/, shown);
  });
}
