// Elements made by scripts: always by properties and text, never by HTML.
let made = 0;

/** Return an id that no other element of the page has. */
export function newId() {
  made += 1;
  return `e${made}`;
}

/** Return an element; names with a dash are attributes, all others properties. */
export function element(tag, properties = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (name === "role" || name.includes("-")) node.setAttribute(name, value);
    else node[name] = value;
  }
  node.append(...children);
  return node;
}

/** Return a button that does something. */
export function button(text, action, properties = {}) {
  const node = element("button", { type: "button", ...properties }, text);
  node.addEventListener("click", action);
  return node;
}

/** Report a change that no input reports itself. */
export function changed(node) {
  node.dispatchEvent(new Event("input", { bubbles: true }));
}

/** Return a function that runs another one once it has not been called for some milliseconds. */
export function delayed(action, milliseconds) {
  let timer;
  return () => {
    clearTimeout(timer);
    timer = setTimeout(action, milliseconds);
  };
}
