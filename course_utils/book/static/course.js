// What the pages can do without a kernel: the quiz, copying a command, and boxes that scroll by keyboard.

function answer(button) {
  const question = button.closest(".course-question");
  for (const other of question.querySelectorAll(".course-answer")) {
    other.setAttribute("aria-pressed", other === button);
  }
  const right = button.dataset.right === "true";
  question.dataset.first ??= right;
  question.querySelector(".course-reason").textContent = `${right ? "✓" : "✗ Not this one."} ${button.dataset.reason}`;
  score(question.closest(".course-quiz"));
}

function score(quiz) {
  const questions = [...quiz.querySelectorAll(".course-question")];
  const done = questions.filter((one) => one.dataset.first);
  const right = done.filter((one) => one.dataset.first === "true");
  const words = `${right.length} of ${done.length} right at the first try; ${questions.length - done.length} to go.`;
  quiz.querySelector(".course-score").textContent = words;
}

async function copy(button) {
  const text = button.previousElementSibling.textContent;
  try {
    await navigator.clipboard.writeText(text);
    button.textContent = "Copied";
  } catch {
    getSelection().selectAllChildren(button.previousElementSibling);
    button.textContent = "Selected: press Ctrl+C";
  }
}

function reachable() {
  for (const box of document.querySelectorAll(".course-output, .course-text, .course-formula, .pst-scrollable-table-container, pre")) {
    if (box.scrollWidth > box.clientWidth) box.tabIndex = 0;
    else box.removeAttribute("tabindex");
  }
}

document.addEventListener("click", (event) => {
  const button = event.target.closest("button");
  if (button?.matches(".course-answer")) answer(button);
  if (button?.matches(".course-copy")) copy(button);
});
document.addEventListener("toggle", reachable, true);
addEventListener("resize", reachable);
addEventListener("load", reachable);

const folded = new Set();
addEventListener("beforeprint", () => {
  for (const one of document.querySelectorAll("details:not([open])")) {
    folded.add(one);
    one.open = true;
  }
});
addEventListener("afterprint", () => {
  for (const one of folded) one.open = false;
  folded.clear();
});
