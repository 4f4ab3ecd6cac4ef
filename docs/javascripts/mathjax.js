// Formulas are what arithmatex marked; Material exchanges pages without loading scripts again.
window.MathJax = {
  tex: { inlineMath: [["\\(", "\\)"]], displayMath: [["\\[", "\\]"]] },
  options: { ignoreHtmlClass: ".*|", processHtmlClass: "arithmatex" },
};

document$.subscribe(() => {
  MathJax.startup?.output?.clearCache?.();
  MathJax.typesetPromise?.();
});
