"use strict";

// Draws each [data-chart] from the specification at its address, in the reader's colour scheme. The table beside it
// says the same. vega's own expressions run on an interpreter, because the policy forbids eval.

const dark = window.matchMedia("(prefers-color-scheme: dark)");

async function draw(place) {
  const address = new URL(place.dataset.chart, window.location.href);
  address.searchParams.set("theme", dark.matches ? "dark" : "light");
  const answer = await fetch(address, { headers: { Accept: "application/json" } });
  if (!answer.ok) throw new Error(`${answer.status}`);
  const view = await vegaEmbed(place, await answer.json(), {
    actions: false,
    ast: true,
    defaultStyle: false, // admin.css has the styles: the policy forbids added style elements
    renderer: "canvas",
    tooltip: { disableDefaultStyle: true },
  });
  place.removeAttribute("data-waiting");
  offerFiles(place, view.view);
}

// The picture as it is shown now, for a slide or a paper.
function offerFiles(place, view) {
  const offer = place.parentElement.querySelector("[data-chart-files]");
  if (!offer) return;
  offer.hidden = false;
  for (const button of offer.querySelectorAll("[data-chart-file]")) {
    const kind = button.dataset.chartFile;
    button.onclick = async () => {
      const link = document.createElement("a");
      link.href = await view.toImageURL(kind, 2);
      link.download = `${offer.dataset.chartFiles}.${kind}`;
      link.click();
    };
  }
}

async function drawAll() {
  for (const place of document.querySelectorAll("[data-chart]")) {
    try {
      await draw(place);
    } catch (error) {
      console.error(error);
      place.textContent = "The chart could not be drawn. The table below has every figure.";
    }
  }
}

dark.addEventListener("change", drawAll);
drawAll();
