// The front page: shows and sets the mode of new orders.
const form = document.getElementById("mode");
const status = document.getElementById("mode-status");
const choices = [...form.querySelectorAll("input")];

function tell(text, bad = false) {
  if (status.textContent !== text) status.textContent = text;
  status.toggleAttribute("data-bad", bad);
}

async function answer(response) {
  if (response.ok) return response.status === 204 ? null : response.json();
  const said = await response.json().catch(() => ({}));
  throw new Error(said.detail || said.title || `The server answered ${response.status}.`);
}

function show({ mode, modes }) {
  for (const choice of choices) {
    choice.checked = choice.value === mode;
    choice.disabled = !modes.includes(choice.value);
  }
  for (const card of document.querySelectorAll("[data-shows]")) card.toggleAttribute("data-current", card.dataset.shows === mode);
}

async function refresh() {
  try {
    show(await answer(await fetch("/api/mode", { cache: "no-store" })));
    if (status.hasAttribute("data-bad") || status.textContent === "Asking…") tell("Orders that exist stay as they are.");
  } catch (problem) {
    tell(problem instanceof TypeError ? "The program does not answer. It may be restarting." : problem.message, true);
  }
}

form.addEventListener("change", async ({ target }) => {
  try {
    await answer(await fetch("/api/mode", { method: "PUT", headers: { "Content-Type": "application/json" }, body: JSON.stringify({ mode: target.value }) }));
    tell(`From now on, new orders are ${target.value}.`);
  } catch (problem) {
    tell(`Not changed: ${problem.message}`, true);
  }
  refresh();
});
form.addEventListener("submit", (event) => event.preventDefault());

refresh();
setInterval(() => document.hidden || refresh(), 5000);
