"use strict";
const data = JSON.parse(document.getElementById("data").textContent);
const at = (id) => document.getElementById(id);
// Okabe and Ito's, a gray and a brown for the black and the yellow that one of two backgrounds hides:
// told apart by colour-blind readers.
const COLORS = ["#0072b2", "#e69f00", "#009e73", "#cc79a7", "#d55e00", "#56b4e9", "#7f7f7f", "#7a4a00"];
const ERROR_GAIN = 8;

const base = (file) => file.split("/").pop();
// Hovering shows markup as such.
const plain = (text) => String(text).replace(/&/g, "&amp;").replace(/</g, "&lt;");
const number = (value, digits) => (value === null ? "n/a" : value.toFixed(digits));
const decibels = (psnr) => (psnr === null ? "exact" : `${psnr.toFixed(2)} dB`);
// Similarities near one are told apart in decibels.
const value = (row, measure) =>
  measure === "psnr" ? row.psnr
    : row.ms_ssim === null || row.ms_ssim >= 1 ? null : -10 * Math.log10(1 - row.ms_ssim);

function fill(select, options, chosen) {
  select.replaceChildren(...options.map(([key, text]) => new Option(text, key, false, key === chosen)));
}

// Curves.

function traces(measure, file) {
  return data.curves.flatMap((curve, index) => {
    const rows = file === "" ? curve.means : curve.measurements.filter((row) => row.file === file);
    const order = [...rows].sort((a, b) => a.bpp - b.bpp);
    const color = COLORS[index % COLORS.length];
    const dash = index < COLORS.length ? "dash" : "dot";
    const text = (row) => `${row.file === "mean" ? "" : plain(base(row.file)) + "<br>"}${plain(row.codec)}, ${row.quality}`;
    const common = { type: "scatter", hovertemplate: "%{text}<br>%{x:.4f} bpp, %{y:.2f}<extra></extra>" };
    const line = { ...common, x: order.map((row) => row.bpp), y: order.map((row) => value(row, measure)),
      text: order.map(text), mode: "lines+markers", name: plain(curve.label),
      line: { color, width: curve.is_model ? 3 : 1.5, dash: curve.is_model ? "solid" : dash },
      marker: { color, size: curve.is_model ? 8 : 5 } };
    if (file !== "" || !curve.is_model) return [line];
    const dots = { ...common, x: curve.measurements.map((row) => row.bpp),
      y: curve.measurements.map((row) => value(row, measure)), text: curve.measurements.map(text),
      mode: "markers", marker: { color, size: 6, opacity: 0.45 }, showlegend: false };
    return [dots, line];
  });
}

function range(lines, measure) {
  const rows = data.curves.filter((curve) => curve.is_model).flatMap((curve) => curve.measurements);
  const file = at("chart-image").value;
  const shown = rows.filter((row) => file === "" || row.file === file);
  const ys = shown.map((row) => value(row, measure)).filter((y) => y !== null);
  if (ys.length === 0) return {};
  return { x: [0, 1.3 * Math.max(...shown.map((row) => row.bpp))], y: [Math.min(...ys) - 3, Math.max(...ys) + 3] };
}

// Plotly takes longer to begin than all the rest, which is there to be looked at before.
function loadPlotly() {
  const script = document.createElement("script");
  script.textContent = at("plotly").textContent;
  document.head.append(script);
  draw();
}

function draw() {
  if (!window.Plotly) return;
  const measure = at("measure").value, style = getComputedStyle(document.documentElement);
  const color = (name) => style.getPropertyValue(name).trim();
  const lines = traces(measure, at("chart-image").value), { x, y } = range(lines, measure);
  const axis = { gridcolor: color("--line"), zerolinecolor: color("--line") };
  Plotly.react("chart", lines, {
    margin: { l: 55, r: 10, t: 10, b: 45 }, paper_bgcolor: "rgba(0,0,0,0)", plot_bgcolor: "rgba(0,0,0,0)",
    font: { color: color("--text"), size: 13 },
    xaxis: { ...axis, title: { text: "bits per pixel, whole files" }, range: x },
    yaxis: { ...axis, title: { text: measure === "psnr" ? "PSNR (dB)" : "MS-SSIM, -10 log10(1 - m) (dB)" }, range: y },
    legend: { orientation: "h", y: -0.18 }, hovermode: "closest",
  }, { responsive: true, displaylogo: false, displayModeBar: false });
}

// Pictures.

const image = () => data.images[Number(at("image").value)];
const rate = () => image().pictures[Number(at("rate").value)];
const original = { label: "original", picture: null };

function side(name) {
  const index = at(name).value;
  return index === "original" ? { ...original, picture: image().original } : rate().sides[Number(index)];
}

function caption(shown) {
  if (shown.label === "original") return "original";
  const excess = shown.bytes / rate().sides[0].bytes, more = excess > 1.1 ? ` (${excess.toFixed(1)} times as many)` : "";
  const similarity = shown.ms_ssim === null ? "" : `, MS-SSIM ${shown.ms_ssim.toFixed(4)}`;
  return `${shown.label}: ${shown.bytes} bytes${more}, ${shown.bpp.toFixed(3)} bpp, ${decibels(shown.psnr)}${similarity}`;
}

function chooseImage() {
  const has = image().pictures.length > 0;
  at("viewer").hidden = at("choices").hidden = !has;
  at("no-pictures").hidden = has;
  if (has) {
    fill(at("rate"), image().pictures.map((found, index) => [String(index), found.label]), at("rate").value || "0");
    chooseRate();
  }
}

function chooseRate() {
  const options = [["original", "original"], ...rate().sides.map((found, index) => [String(index), found.label])];
  const chosen = (name, first) => (at(name).options.length ? at(name).value : first);
  fill(at("left"), options, chosen("left", "0"));
  fill(at("right"), options, chosen("right", rate().sides.length > 1 ? "1" : "original"));
  show();
}

function show() {
  const left = side("left"), right = side("right");
  for (const [name, shown] of [["left", left], ["right", right]]) {
    at(`${name}-picture`).src = shown.picture;
    at(`${name}-picture`).alt = `${base(image().file)}, ${shown.label}`;
    at(`${name}-caption`).textContent = caption(shown);
  }
  const { crop, size, overview } = image();
  at("overview-picture").src = overview;
  at("overview-picture").alt = base(image().file);
  const part = { left: crop.left / size[0], width: crop.width / size[0], top: crop.top / size[1], height: crop.height / size[1] };
  for (const [name, share] of Object.entries(part)) at("where").style[name] = `${100 * share}%`;
  resize();
  chooseMode();
}

function resize() {
  // A pixel of the image is so many of the screen's.
  const scale = Number(at("zoom").value) / (window.devicePixelRatio || 1);
  at("pair").style.width = `${image().crop.width * scale}px`;
  at("pair").style.height = `${image().crop.height * scale}px`;
}

function moveBorder(percent) {
  at("slider").value = String(percent);
  const share = Number(at("slider").value);
  at("left-picture").style.clipPath = `inset(0 ${100 - share}% 0 0)`;
  at("border").style.left = `${share}%`;
}

async function chooseMode() {
  const mode = at("mode").value, error = mode !== "slider";
  at("error").hidden = !error;
  at("border").hidden = error;
  at("slider-label").hidden = error;
  if (error) await drawError(at(mode === "left-error" ? "left-picture" : "right-picture"));
  moveBorder(at("slider").value);
}

async function pixels(source) {
  const picture = new Image(), { width, height } = image().crop;
  picture.src = source;
  await picture.decode();
  const canvas = document.createElement("canvas");
  [canvas.width, canvas.height] = [width, height];
  const context = canvas.getContext("2d", { willReadFrequently: true });
  context.drawImage(picture, 0, 0);
  return context.getImageData(0, 0, width, height);
}

async function drawError(picture) {
  const source = picture.src;
  const [shown, truth] = await Promise.all([pixels(source), pixels(image().original)]);
  // Another was chosen meanwhile.
  if (picture.src !== source) return;
  for (let i = 0; i < shown.data.length; i += 1) {
    shown.data[i] = i % 4 === 3 ? 255 : ERROR_GAIN * Math.abs(shown.data[i] - truth.data[i]);
  }
  [at("error").width, at("error").height] = [shown.width, shown.height];
  at("error").getContext("2d").putImageData(shown, 0, 0);
}

// Table.

const COLUMNS = [
  ["image", (row) => base(row.file), String], ["codec", (row) => row.codec, String],
  ["setting", (row) => row.quality, String], ["bpp", (row) => row.bpp, (v) => number(v, 4)],
  ["PSNR (dB)", (row) => (row.psnr === null ? Infinity : row.psnr), (v) => (v === Infinity ? "exact" : number(v, 2))],
  ["MS-SSIM", (row) => row.ms_ssim, (v) => number(v, 4)],
];
let order = { column: 0, sign: 1 };

function compare(a, b) {
  const [x, y] = [a, b].map(COLUMNS[order.column][1]);
  if (x === null || y === null) return (x === null) - (y === null);
  return order.sign * (typeof x === "string" ? x.localeCompare(y, undefined, { numeric: true }) : x - y);
}

function heads() {
  at("heads").replaceChildren(...COLUMNS.map(([name], column) => {
    const head = document.createElement("th"), button = document.createElement("button");
    const isSorted = column === order.column;
    button.textContent = name + (isSorted ? (order.sign > 0 ? " ▲" : " ▼") : "");
    head.setAttribute("aria-sort", isSorted ? (order.sign > 0 ? "ascending" : "descending") : "none");
    button.addEventListener("click", () => {
      order = { column, sign: isSorted ? -order.sign : 1 };
      table();
      at("heads").children[column].firstChild.focus();
    });
    head.append(button);
    return head;
  }));
}

function table() {
  heads();
  const codec = at("codec").value;
  const rows = data.curves.flatMap((curve) => curve.measurements).filter((row) => codec === "" || row.codec === codec);
  at("rows").replaceChildren(...rows.sort(compare).map((row) => {
    const line = document.createElement("tr");
    line.append(...COLUMNS.map(([, of, text], column) => {
      const cell = document.createElement("td");
      if (column === 0) {
        const button = document.createElement("button");
        button.textContent = base(row.file);
        button.title = row.file;
        button.addEventListener("click", () => showImage(row.file));
        cell.append(button);
      } else cell.textContent = text(of(row));
      return cell;
    }));
    return line;
  }));
}

function showImage(file) {
  at("image").value = String(data.images.findIndex((found) => found.file === file));
  at("chart-image").value = file;
  chooseImage();
  draw();
  at("pictures-title").scrollIntoView();
  at("image").focus({ preventScroll: true });
}

// The page.

function drag(event) {
  if (event.buttons !== 1 || at("mode").value !== "slider") return;
  const box = at("pair").getBoundingClientRect();
  moveBorder((100 * (event.clientX - box.left)) / box.width);
}

function key(event) {
  const step = { ArrowLeft: -2, ArrowRight: 2 }[event.key];
  if (step === undefined || at("mode").value !== "slider") return;
  event.preventDefault();
  moveBorder(Number(at("slider").value) + step);
}

function begin() {
  const files = data.images.map((found) => found.file);
  const models = data.curves.filter((curve) => curve.is_model).map((curve) => curve.label);
  at("summary").textContent = `${models.join("; ")}: ${files.length} ${files.length === 1 ? "image" : "images"}.`;
  at("footer").textContent = `Made by tfsq ${data.version}, tfsq evaluate --html. Errors are shown ${ERROR_GAIN} times as large.`;
  fill(at("image"), files.map((file, index) => [String(index), base(file)]), "0");
  fill(at("chart-image"), [["", "mean over all"], ...files.map((file) => [file, base(file)])], "");
  const codecs = [...new Set(data.curves.flatMap((curve) => curve.measurements.map((row) => row.codec)))];
  fill(at("codec"), [["", "all"], ...codecs.map((name) => [name, name])], "");
  at("zoom").value = String([1, 2, 4, 8].find((zoom) => zoom >= (window.devicePixelRatio || 1)) || 8);
  const changes = { measure: draw, "chart-image": draw, image: chooseImage, rate: chooseRate, left: show,
    right: show, mode: chooseMode, zoom: resize, codec: table };
  for (const [id, change] of Object.entries(changes)) at(id).addEventListener("change", () => change());
  at("slider").addEventListener("input", () => moveBorder(at("slider").value));
  at("pair").addEventListener("pointerdown", drag);
  at("pair").addEventListener("pointermove", drag);
  at("stage").addEventListener("keydown", key);
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", draw);
  addEventListener("load", () => requestAnimationFrame(() => setTimeout(loadPlotly)));
  chooseImage();
  table();
}

begin();
