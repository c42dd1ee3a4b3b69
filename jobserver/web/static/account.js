"use strict";

// Without this script the browser sends the form itself, and shows the answer as JSON.
document.querySelector("form").addEventListener("submit", async (event) => {
  event.preventDefault();
  const form = event.target;
  const token = new URLSearchParams(location.search).get("token");
  const answer = document.getElementById("answer");
  try {
    const response = await fetch(location.pathname, {
      method: "PUT",
      credentials: "omit",
      headers: { "Content-Type": "application/json" },
      body: JSON.stringify({ token, ...Object.fromEntries(new FormData(form)) }),
    });
    answer.textContent = (await response.json()).message;
    form.hidden = response.ok;
  } catch {
    answer.textContent = "The server does not answer. Try again.";
  }
});
