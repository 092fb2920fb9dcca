import { expect, test } from "vitest";
import { namedValues, readReport, UnfitReport } from "./report";

const bytes = (text: string) => new TextEncoder().encode(text);

test("the values of a page are read as its own script reads them", () => {
  const page = `<h2 id="verdict" data-of="verdict.headline">It &lt;holds&gt; &amp; &#34;more&#39;</h2>
    <details class="exact"><summary>≈ 1.5</summary><span data-of="money.events.held">1.50001</span></details>
    <span data-of="facts.goal">10</span> <p class="data-of">none</p>`;
  const [headline, held, goal, ...more] = namedValues(page).querySelectorAll("[data-of]");
  expect(headline).toMatchObject({ dataset: { of: "verdict.headline" }, textContent: "It <holds> & \"more'" });
  expect(held).toMatchObject({ dataset: { of: "money.events.held" }, textContent: "1.50001" });
  expect(held?.closest(".exact")?.querySelector("summary")?.textContent).toBe("≈ 1.5");
  expect(goal?.closest(".exact")).toBeNull();
  expect(more).toEqual([]);
});

test("a page that is made to keep the browser busy is refused soon", () => {
  const began = performance.now();
  const carried = '<script type="application/json" id="report">';
  for (const page of [
    `<!doctype html>${carried.repeat(40_000)}`,
    `<!doctype html>${carried}{}</script><p ${' data-of="x"'.repeat(100_000)}`,
  ]) {
    expect(() => readReport(bytes(page))).toThrow(UnfitReport);
    expect(namedValues(page).querySelectorAll("").length).toBe(0);
  }
  expect(performance.now() - began).toBeLessThan(5_000);
});
