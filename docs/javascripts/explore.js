// The page "Explore the trade-off": mismatch, bias and deviation of stochastic uniform annealing, by
// quadrature, for y ~ N(0.3, scale^2) and the loss of `tfsq analyze`. Asks nothing of any server.
// tests/test_explore.py compares `measure` with tfsq.analysis.
(() => {
  "use strict";

  const LOCATION = 0.3;
  const TARGET = 0.9;
  // Beyond 6 scales a Gaussian has a mass of 2e-9.
  const REACH = 6;
  // Gauss-Legendre on [-1, 1]: the integrands are smooth between the points where they jump.
  const NODES = [-0.906179845938664, -0.5384693101056831, 0, 0.5384693101056831, 0.906179845938664];
  const WEIGHTS = [0.23692688505618908, 0.47862867049936647, 0.5688888888888889, 0.47862867049936647,
    0.23692688505618908];

  const density = (y, scale) =>
    Math.exp(-0.5 * ((y - LOCATION) / scale) ** 2) / (scale * Math.sqrt(2 * Math.PI));

  // The loss and its derivative after the decoder g(v) = 2 tanh(0.7 v) + 0.3 v.
  function lossOf(v) {
    const tanh = Math.tanh(0.7 * v);
    const error = 2 * tanh + 0.3 * v - TARGET;
    return { loss: error * error, slope: 2 * error * (1.4 * (1 - tanh * tanh) + 0.3) };
  }

  const clip = (x, low, high) => Math.min(Math.max(x, low), high);
  // h_t(y), the conditional mean of all three forms.
  const staircase = (y, t) => Math.floor(y) + clip((y - Math.floor(y) - 0.5) / t + 0.5, 0, 1);
  const SURROGATES = {
    dithered: (y, u, t) => Math.floor(y + t * u + 0.5) - t * u,
    additive: (y, u, t) => staircase(y, t) + t * u,
    rounding: (y, u, t) => Math.floor(y + t * u + 0.5),
  };
  const SLOPES = {
    straight_through: () => 1,
    expected: (y, t) => (Math.abs(y - Math.floor(y) - 0.5) <= t / 2 ? 1 / t : 0),
  };

  // Calls f(node, weight) for the integral from edge to edge.
  function integrate(edges, f) {
    for (let i = 0; i + 1 < edges.length; i += 1) {
      const half = (edges[i + 1] - edges[i]) / 2;
      if (half > 1e-14) {
        NODES.forEach((node, j) => f(edges[i] + half * (1 + node), half * WEIGHTS[j]));
      }
    }
  }

  // Where the integrand over y may have a kink or a jump, and steps that the density is smooth in.
  function edgesOfLatent(scale, t) {
    const low = LOCATION - REACH * scale;
    const high = LOCATION + REACH * scale;
    const edges = [];
    for (let i = -2 * REACH; i <= 2 * REACH; i += 1) edges.push(LOCATION + (i * scale) / 2);
    for (let k = Math.floor(low); k <= high; k += 1) {
      edges.push(k, k + 0.5 - t / 2, k + 0.5, k + 0.5 + t / 2);
    }
    return edges.filter((y) => y >= low && y <= high).sort((a, b) => a - b);
  }

  // d/dtheta E[l(round(y + theta))]: raising y carries probability over the ties.
  function hardGradient(scale) {
    let sum = 0;
    const last = Math.ceil(LOCATION + REACH * scale);
    for (let k = Math.floor(LOCATION - REACH * scale) - 1; k <= last; k += 1) {
      sum += density(k + 0.5, scale) * (lossOf(k + 1).loss - lossOf(k).loss);
    }
    return sum;
  }

  function check({ form, gradient, temperature, scale }) {
    if (!(form in SURROGATES)) throw new RangeError(`No such form. Received: ${form}`);
    if (!(gradient in SLOPES)) throw new RangeError(`No such gradient. Received: ${gradient}`);
    if (!(temperature > 0 && temperature <= 1)) {
      throw new RangeError(`\`temperature\` must be in (0, 1]. Received: ${temperature}`);
    }
    if (!(scale > 0 && scale < Infinity)) {
      throw new RangeError(`\`scale\` must be positive and finite. Received: ${scale}`);
    }
  }

  // What tfsq.analysis.mismatch and gradient_risk measure, under one setting.
  function measure(setting) {
    check(setting);
    const { form, gradient, temperature: t, scale } = setting;
    const surrogate = SURROGATES[form];
    let toRounding = 0;
    let toLatent = 0;
    let lossMismatch = 0;
    let mean = 0;
    let square = 0;
    integrate(edgesOfLatent(scale, t), (y, weight) => {
      const mass = weight * density(y, scale);
      const hard = Math.floor(y + 0.5);
      const hardLoss = lossOf(hard).loss;
      const slope = SLOPES[gradient](y, t);
      // Of the noise, where y + t u passes the tie.
      const jump = clip((Math.floor(y) + 0.5 - y) / t, -0.5, 0.5);
      integrate([-0.5, jump, 0.5], (u, part) => {
        const value = surrogate(y, u, t);
        const soft = lossOf(value);
        const sample = soft.slope * slope;
        toRounding += mass * part * (value - hard) ** 2;
        toLatent += mass * part * (value - y) ** 2;
        lossMismatch += mass * part * (soft.loss - hardLoss);
        mean += mass * part * sample;
        square += mass * part * sample * sample;
      });
    });
    const exact = hardGradient(scale);
    return {
      toRounding,
      toLatent,
      lossMismatch,
      hardGradient: exact,
      bias: mean - exact,
      deviation: Math.sqrt(Math.max(square - mean * mean, 0)),
    };
  }

  window.tfsqExplore = { measure };

  // ---------------------------------------------------------------------------------- drawing

  const SVG = "http://www.w3.org/2000/svg";
  // In units of the drawing, which are pixels where a panel is as wide as this.
  const WIDTH = 340;
  const HEIGHT = 230;
  const FRAME = { left: 48, right: 16, top: 8, bottom: 36 };
  const TEMPERATURES = Array.from({ length: 61 }, (_, i) => 10 ** (-i / 30));
  const VIEW = [-1.7, 2.3];
  const SAMPLES = 300;
  // Looks like noise, and is the same at every redrawing.
  const NOISE = Array.from({ length: SAMPLES }, (_, i) => {
    const x = 43758.5453 * Math.sin(12.9898 * (i + 1));
    return x - Math.floor(x) - 0.5;
  });

  function element(name, attributes, parent, text) {
    const made = document.createElementNS(SVG, name);
    Object.entries(attributes).forEach(([key, value]) => made.setAttribute(key, value));
    if (text !== undefined) made.textContent = text;
    parent.append(made);
    return made;
  }

  const linear = ([from, to], [first, last]) => (v) =>
    first + ((v - from) / (to - from)) * (last - first);
  const logarithmic = (ends, places) => {
    const map = linear(ends.map(Math.log10), places);
    return (v) => map(Math.log10(v));
  };

  // Round numbers that hold the values and zero between them.
  function ticksOf(values) {
    const low = Math.min(0, ...values);
    const high = Math.max(0, ...values);
    const rough = Math.max(high - low, 1e-3) / 5;
    const power = 10 ** Math.floor(Math.log10(rough));
    const step = [1, 2, 5, 10].map((m) => m * power).find((s) => s >= rough);
    const first = Math.floor(low / step + 1e-9);
    const last = Math.ceil(high / step - 1e-9);
    return Array.from({ length: last - first + 1 }, (_, i) => (first + i) * step);
  }

  const short = (v) => String(Number(v.toPrecision(3))).replace("-", "−");
  const number = (v) =>
    (Math.abs(v) < 5e-5 ? "0" : v.toFixed(Math.abs(v) < 10 ? 4 : 2)).replace("-", "−");

  const ACROSS = [FRAME.left, WIDTH - FRAME.right];
  const UPWARD = [HEIGHT - FRAME.bottom, FRAME.top];

  // Empties a panel and draws its axes: each has map, ticks, and x a label.
  function axes(svg, x, y) {
    svg.replaceChildren();
    const grid = element("g", { class: "grid" }, svg);
    const text = element("g", { class: "ticks" }, svg);
    x.ticks.forEach((v) => {
      const at = x.map(v);
      element("line", { x1: at, x2: at, y1: UPWARD[0], y2: UPWARD[1] }, grid);
      element("text", { x: at, y: UPWARD[0] + 14, "text-anchor": "middle" }, text, short(v));
    });
    y.ticks.forEach((v) => {
      const at = y.map(v);
      const kind = v === 0 ? "zero" : "line";
      element("line", { x1: ACROSS[0], x2: ACROSS[1], y1: at, y2: at, class: kind }, grid);
      element("text", { x: ACROSS[0] - 5, y: at + 4, "text-anchor": "end" }, text, short(v));
    });
    const middle = (ACROSS[0] + ACROSS[1]) / 2;
    element("text", { x: middle, y: HEIGHT - 5, "text-anchor": "middle" }, text, x.label);
  }

  function curve(svg, points, kind) {
    const path = points.map(([x, y]) => `${x.toFixed(2)},${y.toFixed(2)}`).join(" ");
    element("polyline", { points: path, class: `curve ${kind}` }, svg);
  }

  // Curves along the temperature, with the present one marked; lines are [kind, measured -> value].
  function alongTemperature(svg, y, lines, { curves, now, setting }) {
    const x = {
      map: logarithmic([1, 0.01], ACROSS),
      ticks: [1, 0.5, 0.2, 0.1, 0.05, 0.02, 0.01],
      label: "temperature t (annealing goes to the right)",
    };
    axes(svg, x, y);
    const at = x.map(setting.temperature);
    element("line", { x1: at, x2: at, y1: UPWARD[0], y2: UPWARD[1], class: "now" }, svg);
    lines.forEach(([kind, value]) => {
      curve(svg, TEMPERATURES.map((t, i) => [x.map(t), y.map(value(curves[i]))]), kind);
      element("circle", { cx: at, cy: y.map(value(now)), r: 4, class: `dot ${kind}` }, svg);
    });
  }

  function onLinearScale(svg, lines, state) {
    const measured = [...state.curves, state.now];
    const ticks = ticksOf(lines.flatMap(([, value]) => measured.map(value)));
    const y = { map: linear([ticks[0], ticks[ticks.length - 1]], UPWARD), ticks };
    alongTemperature(svg, y, lines, state);
  }

  function drawStaircase(svg, { setting }) {
    const { form, temperature: t, scale } = setting;
    const x = { map: linear(VIEW, ACROSS), ticks: [-1, 0, 1, 2], label: "latent y" };
    const y = { map: linear([-2.4, 3.2], UPWARD), ticks: [-2, -1, 0, 1, 2, 3] };
    axes(svg, x, y);
    const places = Array.from({ length: 401 }, (_, i) => VIEW[0] + (i / 400) * (VIEW[1] - VIEW[0]));
    // As high as a third of the panel, whatever the scale.
    const peak = density(LOCATION, scale);
    const hill = places.map((v) => [x.map(v), UPWARD[0] - 65 * (density(v, scale) / peak)]);
    const ends = [[ACROSS[1], UPWARD[0]], [ACROSS[0], UPWARD[0]]];
    element("polygon", { points: [...hill, ...ends].join(" "), class: "density" }, svg);
    NOISE.forEach((u, i) => {
      const v = VIEW[0] + ((i + 0.5) / SAMPLES) * (VIEW[1] - VIEW[0]);
      const value = SURROGATES[form](v, u, t);
      element("circle", { cx: x.map(v), cy: y.map(value), r: 1.6, class: "sample" }, svg);
    });
    curve(svg, places.map((v) => [x.map(v), y.map(staircase(v, t))]), "first");
  }

  const LEAST = 1e-4;
  const PANELS = {
    staircase: drawStaircase,
    mismatch: (svg, state) =>
      onLinearScale(svg, [["first", (m) => m.toRounding], ["second", (m) => m.toLatent]], state),
    loss: (svg, state) => onLinearScale(svg, [["first", (m) => m.lossMismatch]], state),
    gradient: (svg, state) => {
      const ticks = [LEAST, 0.001, 0.01, 0.1, 1, 10, 100];
      const map = logarithmic([LEAST, 100], UPWARD);
      // Where the bias changes its sign, its logarithm has no lower end.
      const y = { map: (v) => map(Math.max(v, LEAST)), ticks };
      const lines = [["first", (m) => Math.abs(m.bias)], ["second", (m) => m.deviation]];
      alongTemperature(svg, y, lines, state);
    },
  };

  // ------------------------------------------------------------------------------- the page

  // Ranges hold logarithms: of 1 / t, so that annealing goes to the right as in the panels.
  function settingOf(controls) {
    const chosen = new FormData(controls);
    // Two digits: what is shown is what is computed.
    const rounded = (logarithm) => Number((10 ** logarithm).toPrecision(2));
    return {
      form: chosen.get("form"),
      gradient: chosen.get("gradient"),
      temperature: rounded(-chosen.get("temperature")),
      scale: rounded(Number(chosen.get("scale"))),
    };
  }

  function mount() {
    const page = document.getElementById("explore");
    if (!page || page.dataset.mounted) return;
    page.dataset.mounted = "yes";
    const controls = page.querySelector("form");
    let known = "";
    let curves = [];

    function say(name, setting) {
      const text = short(setting[name]);
      page.querySelector(`output[for="explore-${name}"]`).textContent = text;
      page.querySelector(`#explore-${name}`).setAttribute("aria-valuetext", text);
    }

    function draw() {
      const setting = settingOf(controls);
      say("temperature", setting);
      say("scale", setting);
      const others = [setting.form, setting.gradient, setting.scale].join();
      if (others !== known) {
        curves = TEMPERATURES.map((temperature) => measure({ ...setting, temperature }));
        known = others;
      }
      const now = measure(setting);
      Object.entries(PANELS).forEach(([name, drawn]) =>
        drawn(page.querySelector(`svg[data-panel="${name}"]`), { setting, curves, now }));
      page.querySelectorAll("[data-now]").forEach((cell) => {
        cell.textContent = number(now[cell.dataset.now]);
      });
      page.querySelectorAll("[data-at-one]").forEach((cell) => {
        cell.textContent = number(curves[0][cell.dataset.atOne]);
      });
    }

    // A slider may tell of more values than can be drawn: the last one counts.
    let waiting = 0;
    controls.addEventListener("input", () => {
      waiting = waiting || setTimeout(() => {
        waiting = 0;
        draw();
      });
    });
    controls.addEventListener("submit", (event) => event.preventDefault());
    draw();
  }

  // Material exchanges pages without loading scripts again, and says so by this.
  if (window.document$) window.document$.subscribe(mount);
  else document.addEventListener("DOMContentLoaded", mount);
})();
