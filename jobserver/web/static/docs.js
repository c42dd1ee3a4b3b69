"use strict";

const system = matchMedia("(prefers-color-scheme: dark)");

/** Show the theme that the other pages have: the chosen one, else the system's. */
function showTheme() {
  const chosen = /(?:^|; )jobserver_theme=(\w+)/.exec(document.cookie)?.[1];
  const isDark = chosen ? chosen === "dark" : system.matches;
  document.documentElement.classList.toggle("dark-mode", isDark);
}

showTheme();
system.addEventListener("change", showTheme);
addEventListener("DOMContentLoaded", () => {
  SwaggerUIBundle({
    url: "openapi.json",
    dom_id: "#interface",
    deepLinking: true,
    docExpansion: "list",
    defaultModelsExpandDepth: 0,
    tryItOutEnabled: true,
    validatorUrl: null,
  });
});
