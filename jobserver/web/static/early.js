// A click on a button before the scripts of the page are there counts once they are.
"use strict";
{
  let early = null;
  const note = ({ target }) => {
    const button = target.closest("button");
    if (button?.type === "button" || button?.form?.method === "dialog") early = button;
  };
  addEventListener("click", note, true);
  addEventListener("DOMContentLoaded", () => {
    removeEventListener("click", note, true);
    early?.click();
  });
}
