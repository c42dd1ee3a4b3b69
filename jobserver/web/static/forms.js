// Forms that a script sends: disabled meanwhile, with the problem beside the fields.

/** Call an action with the fields of a form when it is submitted; show why it was refused. */
export function onSubmit(form, action) {
  const problem = form.querySelector(".error");
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    const button = form.querySelector("button:not([type=button])");
    mark(form, []);
    problem.hidden = true;
    button.disabled = true;
    try {
      await action(Object.fromEntries(new FormData(form)));
    } catch (error) {
      problem.textContent = error.message;
      problem.hidden = false;
      mark(form, error.errors ?? []);
    } finally {
      button.disabled = false;
    }
  });
}

/** Mark the fields that problems are about, and go to the first. */
function mark(form, problems) {
  const wrong = problems.map(({ field }) => form.elements[field]).filter((field) => field?.focus);
  for (const field of form.elements) field.removeAttribute("aria-invalid");
  for (const field of wrong) field.setAttribute("aria-invalid", "true");
  wrong[0]?.focus();
}
