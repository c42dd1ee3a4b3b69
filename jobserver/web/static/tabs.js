// Tabs by the pattern of ARIA: one is chosen by a click or the arrow keys, and remembered.

/** Let a list of tabs choose which of their panels is seen. */
export function tabs(list, name) {
  const all = [...list.querySelectorAll("[role=tab]")];
  const choose = (chosen, { focus = false } = {}) => {
    for (const tab of all) {
      tab.setAttribute("aria-selected", String(tab === chosen));
      tab.tabIndex = tab === chosen ? 0 : -1;
      document.getElementById(tab.getAttribute("aria-controls")).hidden = tab !== chosen;
    }
    if (focus) chosen.focus();
    localStorage.setItem(name, chosen.id);
  };
  list.addEventListener("click", (event) => {
    const tab = event.target.closest("[role=tab]");
    if (tab) choose(tab);
  });
  list.addEventListener("keydown", (event) => {
    const at = all.indexOf(event.target);
    const next = { ArrowRight: at + 1, ArrowLeft: at - 1, Home: 0, End: all.length - 1 }[event.key];
    if (at < 0 || next === undefined) return;
    event.preventDefault();
    choose(all[(next + all.length) % all.length], { focus: true });
  });
  choose(all.find((tab) => tab.id === localStorage.getItem(name)) ?? all[0]);
}
