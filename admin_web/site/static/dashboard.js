// The chart of the dashboard. It reads its numbers from the table on the page, so the two cannot differ.
"use strict";

const table = document.getElementById("dials");
const place = document.getElementById("dials-chart");
const MOMENT = "{D} {MMM} {YYYY} {HH}:{mm}";
const TIME_OF_DAY = ["{HH}:{mm}", "\n{D} {MMM}", null, "\n{D} {MMM}", null, null, null, 1];
const SERIES = [
  ["Allowed", "#2fb344", "#2fb344"],
  ["Under override", "#c27803", "#f5c344"],
  ["Blocked", "#c92a2a", "#ff6b6b"],
];
let chart = null;

function numbers() {
  const rows = [...table.tBodies[0].rows];
  const columns = SERIES.map((_, n) => rows.map((row) => Number(row.querySelectorAll("[data-count]")[n].dataset.count)));
  return [rows.map((row) => Date.parse(row.querySelector("time").dateTime) / 1000), ...columns];
}

function draw() {
  const dark = document.documentElement.dataset.bsTheme === "dark";
  const ink = dark ? "#c8d3e1" : "#3a4859";
  const axis = { stroke: ink, grid: { stroke: dark ? "#33415580" : "#cbd5e180" }, ticks: { show: false } };
  chart?.destroy();
  chart = new uPlot({
    width: place.clientWidth,
    height: 260,
    tzDate: (at) => uPlot.tzDate(new Date(at * 1000), place.dataset.zone),
    axes: [{ ...axis, values: [[86400, "{D} {MMM}", null, null, null, null, null, null, 1], [60, ...TIME_OF_DAY]] }, { ...axis, size: 60 }],
    scales: { y: { range: (_, low, high) => [0, Math.max(high, 5)] } },
    series: [{ value: MOMENT }].concat(
      SERIES.map(([label, light, night], n) => ({
        label,
        stroke: dark ? night : light,
        width: 2,
        dash: [[], [8, 4], [2, 3]][n],
        paths: uPlot.paths.stepped({ align: 1 }),
        points: { show: false },
      })),
    ),
  }, numbers(), place);
}

document.getElementById("dials-numbers").open = false;
draw();
new ResizeObserver(() => chart.setSize({ width: place.clientWidth, height: 260 })).observe(place);
new MutationObserver(draw).observe(document.documentElement, { attributeFilter: ["data-bs-theme"] });
