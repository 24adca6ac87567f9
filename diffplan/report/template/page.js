"use strict";
// A click on a column's head sorts by it; a second click reverses the order. Cells without a number come last.
for (const table of document.querySelectorAll("table.sortable")) {
  const heads = [...table.querySelectorAll("th")];
  const body = table.tBodies[0];
  heads.forEach((head, column) => head.addEventListener("click", () => {
    const falling = head.getAttribute("aria-sort") === "ascending";
    heads.forEach((other) => other.removeAttribute("aria-sort"));
    head.setAttribute("aria-sort", falling ? "descending" : "ascending");
    const text = (row) => row.cells[column].title;
    const compare = (a, b) => {
      const [x, y] = [text(a), text(b)];
      const [p, q] = [x === "" ? NaN : Number(x), y === "" ? NaN : Number(y)];
      if (isNaN(p) && isNaN(q)) return (falling ? -1 : 1) * x.localeCompare(y);
      if (isNaN(p) || isNaN(q)) return isNaN(p) ? 1 : -1;
      return (falling ? -1 : 1) * (p - q);
    };
    body.append(...[...body.rows].sort(compare));
  }));
}
// Charts are drawn when they come into view. Vega's interpreter (ast) needs no right to evaluate text as code.
const options = {actions: false, ast: true, config: chartConfig, renderer: "svg", tooltip: {theme: "custom"}};
const watcher = new IntersectionObserver((entries) => {
  for (const entry of entries.filter((one) => one.isIntersecting)) {
    watcher.unobserve(entry.target);
    vegaEmbed(entry.target, JSON.parse(entry.target.nextElementSibling.textContent), options);
  }
}, {rootMargin: "300px"});
document.querySelectorAll(".chart").forEach((chart) => watcher.observe(chart));
